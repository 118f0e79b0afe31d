FROM nginx:stable AS site
WORKDIR /srv/www
COPY {{SITE}} ./
RUN rm -f {{SERVER}}

FROM nginx:stable AS runtime
{{LABELS}}
WORKDIR /srv/www
COPY {{SERVER}} /etc/nginx/landfall.conf
COPY --from=site /srv/www ./
USER 10001:10001
{{EXPOSE}}
STOPSIGNAL SIGQUIT
{{HEALTHCHECK}}
CMD {{COMMAND}}
