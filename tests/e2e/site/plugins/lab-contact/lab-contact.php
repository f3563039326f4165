<?php
/*
Plugin Name: Lab Contact
Description: A contact form behind admin-post.php and a newsletter sign-up behind the REST API.
*/

add_shortcode('lab_contact', function (): string {
    $action = esc_url(admin_url('admin-post.php'));
    $nonce = wp_create_nonce('lab_contact');
    return <<<HTML
        <form id="lab-contact" method="post" action="$action">
        <input type="hidden" name="action" value="lab_contact">
        <input type="hidden" name="_wpnonce" value="$nonce">
        <p><input name="your-name" placeholder="Name"></p>
        <p><input name="your-email" type="email"></p>
        <p><input name="your-subject"></p>
        <p><textarea name="your-message"></textarea></p>
        <p><label><input type="checkbox" name="consent[]" value="terms">ok</label></p>
        <button>Send</button>
        </form>
        HTML;
});

function lab_contact_take(): void
{
    $fields = array_map(
        fn($value) => sanitize_textarea_field(is_array($value) ? implode(',', $value) : $value),
        wp_unslash($_POST)
    );
    $kept = array_slice(array_merge(get_option('lab_contact', []), [$fields]), -50);
    update_option('lab_contact', $kept);
    wp_safe_redirect(add_query_arg('sent', 1, wp_get_referer() ?: home_url('/')));
    exit;
}
add_action('admin_post_lab_contact', 'lab_contact_take');
add_action('admin_post_nopriv_lab_contact', 'lab_contact_take');

add_action('rest_api_init', function (): void {
    register_rest_route('lab/v1', '/subscribe', [
        'methods' => 'POST',
        'permission_callback' => '__return_true',
        'args' => ['email' => ['required' => true]],
        'callback' => fn($request) => ['ok' => true, 'email' => sanitize_email($request['email'])],
    ]);
});
