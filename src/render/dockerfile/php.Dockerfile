FROM php:{{VERSION}}-apache AS extensions
{{SYSTEM_BUILD}}
{{EXTENSIONS}}

FROM composer:2 AS vendor
WORKDIR /app
{{MANIFESTS}}
COPY . .
{{ASSETS}}

{{PAGES}}
FROM php:{{VERSION}}-apache AS runtime
{{LABELS}}
{{SYSTEM_RUN}}
# Apache as any user: a port that needs no privilege, and all that it writes in /tmp.
ENV APACHE_LOCK_DIR=/tmp \
    APACHE_PID_FILE=/tmp/apache2.pid \
    APACHE_RUN_DIR=/tmp \
    HOME=/tmp{{SETTINGS}}
RUN a2enmod rewrite && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" && truncate -s 0 /etc/apache2/ports.conf
WORKDIR /app
COPY {{SERVER}} /etc/apache2/sites-enabled/000-default.conf
COPY --from=extensions /usr/local/lib/php/extensions /usr/local/lib/php/extensions
COPY --from=extensions /usr/local/etc/php/conf.d /usr/local/etc/php/conf.d
COPY --from={{MADE}} /app ./
USER 10001:10001
{{EXPOSE}}
STOPSIGNAL SIGWINCH
{{HEALTHCHECK}}
CMD {{COMMAND}}
