FROM nginx:stable AS site
WORKDIR /srv/www
COPY {{SITE}} ./
RUN rm -f {{NGINX}}

FROM nginx:stable AS runtime
{{LABELS}}
WORKDIR /srv/www
COPY {{NGINX}} /etc/nginx/landfall.conf
COPY --from=site /srv/www ./
USER 10001:10001
{{EXPOSE}}
STOPSIGNAL SIGQUIT
CMD {{COMMAND}}
