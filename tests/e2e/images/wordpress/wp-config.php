<?php
// The settings of WordPress from the environment; VARIABLE_FILE names a file with the value.

function setting(string $name, string $default = ''): string
{
    $file = getenv("WORDPRESS_{$name}_FILE");
    if ($file !== false) {
        return rtrim(file_get_contents($file), "\r\n");
    }
    $value = getenv("WORDPRESS_$name");
    return $value === false ? $default : $value;
}

define('DB_NAME', setting('DB_NAME', 'wordpress'));
define('DB_USER', setting('DB_USER', 'wordpress'));
define('DB_PASSWORD', setting('DB_PASSWORD'));
define('DB_HOST', setting('DB_HOST', 'mysql'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');

// Test sites have no secrets, and equal keys keep cookies and nonces alive over a restart.
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    foreach (['KEY', 'SALT'] as $kind) {
        define("{$name}_$kind", setting("{$name}_$kind", sha1("test $name $kind")));
    }
}

$table_prefix = setting('TABLE_PREFIX', 'wp_');
define('WP_DEBUG', setting('DEBUG') !== '');
eval(setting('CONFIG_EXTRA'));

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
