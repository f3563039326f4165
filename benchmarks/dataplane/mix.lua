-- The twelve requests of an ordinary WordPress visit, in turn.
--   wrk -s mix.lua URL [-- PAUSE_MS]   with a pause each connection waits so long before a request,
--                                      which makes a steady rate below saturation
-- The last line of output is one JSON object; latencies are in microseconds.

local browser = {
  ["Host"] = "blog.example.com",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  ["Accept-Language"] = "en-US,en;q=0.5",
  ["Accept-Encoding"] = "gzip, deflate, br",
  ["Cookie"] = "wordpress_test_cookie=WP%20Cookie%20check; wp-settings-1=libraryContent%3Dbrowse%26editor%3Dtinymce; wp-settings-time-1=1700000000",
  ["Referer"] = "https://blog.example.com/2024/05/hello-world/",
}

local pages = {
  "/",
  "/?p=12",
  "/2024/05/hello-world/",
  "/?s=kubernetes+container+security",
  "/wp-content/themes/twentytwentyfour/style.css?ver=1.1",
  "/wp-includes/js/jquery/jquery.min.js?ver=3.7.1",
  "/wp-json/wp/v2/posts?per_page=10&page=2&_fields=id,title,link",
  "/category/news/page/3/",
  "/wp-admin/admin-ajax.php?action=heartbeat&_nonce=8f3c2a1b9d",
  "/feed/",
}

local forms = {
  { "/wp-comments-post.php", "comment=Great+article%2C+I+learned+a+lot+about+how+containers+work+and+why+I+should+care.&author=Jane+Doe&email=jane%40example.org&url=&submit=Post+Comment&comment_post_ID=12&comment_parent=0" },
  { "/wp-login.php", "log=editor&pwd=correct-horse-battery-staple&wp-submit=Log+In&redirect_to=https%3A%2F%2Fblog.example.com%2Fwp-admin%2F&testcookie=1" },
}

local requests, turn = {}, 0

function init(args)
  local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
  for name, value in pairs(browser) do form[name] = value end
  for _, path in ipairs(pages) do
    requests[#requests + 1] = wrk.format("GET", path, browser)
  end
  for _, pair in ipairs(forms) do
    requests[#requests + 1] = wrk.format("POST", pair[1], form, pair[2])
  end
  local pause = tonumber(args[1])
  if pause then
    delay = function() return pause end
  end
end

function request()
  turn = turn + 1
  return requests[turn % #requests + 1]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
