<?php
// Install WordPress and fill it with the site that the corpus was recorded from: the same
// accounts, addresses, ids, terms and dates; the words of posts and comments are others.

$_SERVER['HTTP_HOST'] = '127.0.0.1:9080';
$_SERVER['REQUEST_URI'] = '/';
define('WP_INSTALLING', true);
define('WP_ADMIN', true);
require '/var/www/html/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

$site = json_decode(file_get_contents(__DIR__ . '/seed.json'), true, flags: JSON_THROW_ON_ERROR);

wp_install($site['title'], 'admin', 'admin@example.test', false, '', $site['admin_password']);
wp_set_current_user(1);
kses_remove_filters();
foreach ($site['options'] as $name => $value) {
    update_option($name, $value);
}
switch_theme('twentytwentyone');
activate_plugin('lab-contact/lab-contact.php');

foreach ($site['users'] as [$login, $password, $role]) {
    wp_insert_user([
        'user_login' => $login,
        'user_pass' => wp_slash($password),
        'user_email' => "$login@example.test",
        'role' => $role,
        'display_name' => $role === 'subscriber' ? $login : ucfirst($login) . " O'Test",
    ]);
}

$categories = [];
foreach ($site['categories'] as $name) {
    $categories[$name] = wp_insert_term($name, 'category')['term_id'];
}

// Texts in turn, so that the site is the same each time.
$turn = 0;
$sentence = function () use ($site, &$turn): string {
    return $site['sentences'][$turn++ % count($site['sentences'])];
};
$body = function () use ($sentence): string {
    $text = '';
    for ($i = 0; $i < 3; $i++) {
        $text .= "<!-- wp:paragraph -->\n<p>{$sentence()} {$sentence()}</p>\n<!-- /wp:paragraph -->\n\n";
    }
    return $text;
};
$insert = fn(array $post): int => wp_insert_post(wp_slash($post + ['post_status' => 'publish']), false);

// Not by wp_update_post: a revision would take an id.
foreach ([1, 2, 3] as $id) {
    $dates = ['post_date' => $site['recorded'], 'post_date_gmt' => $site['recorded']];
    $wpdb->update($wpdb->posts, $dates, ['ID' => $id]);
    clean_post_cache($id);
}
$posts = [];
foreach ($site['posts'] as [$date, $name, $author, $category, $tags, $password]) {
    $posts[] = $insert([
        'post_title' => ucfirst(strtr($name, '-', ' ')),
        'post_name' => $name,
        'post_date' => $date,
        'post_author' => $author,
        'post_category' => [$categories[$category]],
        'tags_input' => $tags,
        'post_password' => $password,
        'post_content' => $body(),
    ]);
}
foreach ($site['pages'] as $title) {
    $form = $title === 'Contact' ? '[lab_contact]' : '';
    $insert(['post_title' => $title, 'post_type' => 'page', 'post_content' => $form . $body()]);
}
foreach ($site['comments'] as $number => $post) {
    wp_insert_comment(wp_slash([
        'comment_post_ID' => $post,
        'comment_author' => $site['names'][$number % count($site['names'])],
        'comment_author_email' => "u$number@example.test",
        'comment_content' => $sentence(),
        'comment_approved' => 1,
    ]));
}

$menu = wp_create_nav_menu('Main');
foreach (get_pages() as $page) {
    wp_update_nav_menu_item($menu, 0, [
        'menu-item-object-id' => $page->ID,
        'menu-item-object' => 'page',
        'menu-item-type' => 'post_type',
        'menu-item-status' => 'publish',
    ]);
}
set_theme_mod('nav_menu_locations', ['primary' => $menu]);

$wp_rewrite->set_permalink_structure('/%year%/%monthnum%/%day%/%postname%/');
flush_rewrite_rules(true);
printf("%d posts, %d users\n", wp_count_posts()->publish, count_users()['total_users']);
