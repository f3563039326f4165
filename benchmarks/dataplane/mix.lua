-- The requests of a file, whole and separated by NUL, in turn.
--   wrk -s mix.lua URL -- FILE [PAUSE_MS] [distinct]
-- With a pause above 0 each connection waits so long before a request, which makes a steady rate
-- below saturation. With "distinct" a time in the cookies goes on, so that no request comes twice.
-- The last line of output is one JSON object; latencies are in microseconds.

local requests, turn, distinct = {}, 0, false
local first = 1700000000

function init(args)
  for line in assert(io.open(args[1], "rb")):read("*a"):gmatch("%Z+") do
    requests[#requests + 1] = line
  end
  local pause = tonumber(args[2])
  distinct = args[3] == "distinct"
  if pause and pause > 0 then
    delay = function() return pause end
  end
end

function request()
  turn = turn + 1
  local text = requests[turn % #requests + 1]
  return distinct and text:gsub(first, first + turn, 1) or text
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
