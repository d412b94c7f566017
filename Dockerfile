# Pennypost as a container: the program alone, without PostgreSQL; see docker-compose.yml for the two together.
#
#   docker build -t pennypost .
#   docker run --rm pennypost --help

# The image's own toolchain builds: rust-toolchain.toml stays outside, or rustup would fetch what it names beyond that.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Queries were checked when .sqlx/ was written; no database is needed here.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin pennypost \
    && install -D -m 755 target/release/pennypost /out/pennypost

FROM debian:bookworm-slim
RUN groupadd --system --gid 10001 pennypost \
    && useradd --system --uid 10001 --gid pennypost --home-dir /var/lib/pennypost --create-home --shell /usr/sbin/nologin pennypost
COPY --from=build /out/pennypost /usr/local/bin/pennypost
# pennypost.toml, when `init` writes one, and the master key live here: back this volume up.
VOLUME /var/lib/pennypost
WORKDIR /var/lib/pennypost
ENV PENNYPOST_SERVER__HTTP_LISTEN=0.0.0.0:8080 \
    PENNYPOST_SERVER__MASTER_KEY_FILE=/var/lib/pennypost/master.key \
    PENNYPOST_TELEMETRY__LOG_FORMAT=json
EXPOSE 8080 587 465 25
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["pennypost", "health"]
ENTRYPOINT ["pennypost"]
CMD ["serve"]
