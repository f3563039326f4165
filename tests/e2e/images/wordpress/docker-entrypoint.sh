#!/bin/sh
# Unpack WordPress on the first start, run what is mounted at /docker-entrypoint-init.d, serve.
set -eu

if [ "${1:-}" != apache2-foreground ]; then
    exec "$@"
fi

root=/var/www/html
if [ ! -e "$root/wp-config.php" ]; then
    cp -r /usr/src/wordpress/. "$root/"
    cp /usr/src/htaccess "$root/.htaccess"
    cp /usr/src/wp-config.php "$root/"
    chown -R www-data:www-data "$root"
    for script in /docker-entrypoint-init.d/*.sh; do
        [ -e "$script" ] && sh "$script"
    done
fi

# Debian's file reads variables that nobody has set.
set +u
. /etc/apache2/envvars
set -u
mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR" "$APACHE_LOG_DIR"
# WordPress calls itself by its public address, which is the proxy's: listen there, too.
for port in ${WORDPRESS_LOOPBACK_PORTS:-}; do
    line="Listen 127.0.0.1:$port"
    grep -qx "$line" /etc/apache2/ports.conf || echo "$line" >>/etc/apache2/ports.conf
done
rm -f "$APACHE_PID_FILE"
exec apache2 -DFOREGROUND
