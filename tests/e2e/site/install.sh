#!/bin/sh
# Install the test site: its plugins, then its content.
set -eu
content=/var/www/html/wp-content
cp -r /docker-entrypoint-init.d/plugins /docker-entrypoint-init.d/mu-plugins "$content/"
chown -R www-data:www-data "$content"
cd /var/www/html
su -s /bin/sh www-data -c 'php /docker-entrypoint-init.d/seed.php'
