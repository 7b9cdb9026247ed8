# syntax=docker/dockerfile:1

# The images that `cargo e2e images` packs without Docker, for people who have it:
#
#   docker build --target operator  --tag rouse.local/operator:0.1.0 .
#   docker build --target activator --tag rouse.local/activator:0.1.0 .
#   docker build --target testapp   --tag rouse.local/testapp:1 .
#   docker build --target runtime-python --tag rouse.local/runtime-python:0.1.0 .
#   docker build --target runtime-node   --tag rouse.local/runtime-node:0.1.0 .
#
# Those of programs hold one static binary and nothing else: no shell, no libc, no certificates (the API server's come with the pod).
# Those of runtimes hold an interpreter and our server for it; `cargo e2e images` takes Debian's in place of these.

# The compiler of rust-toolchain.toml, on a system whose C library (musl) can be linked in whole.
FROM rust:1.95.0-alpine AS build
# aws-lc and mimalloc are C: compiler, headers, make.
RUN apk add --no-cache build-base cmake linux-headers perl
WORKDIR /src
# By name, past rust-toolchain.toml: the image has this compiler, but not the linters that the file also asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
# Such as `otel`: see docs/metrics.md.
ARG ACTIVATOR_FEATURES=""
# The caches live on between builds and are in no layer, so the binaries are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc --print host-tuple)" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
        --package operator --package activator --package testapp ${ACTIVATOR_FEATURES:+--features activator/$ACTIVATOR_FEATURES} \
    && mkdir /out \
    && cp "target/$target/release/operator" "target/$target/release/activator" "target/$target/release/testapp" /out/

FROM python:3.13-slim AS runtime-python
COPY runtimes/python/__main__.py runtimes/python/functions_framework.py /rouse/python/
COPY runtimes/python/rouse /rouse/python/rouse
# Unchecked: a layer may change a file's time, and with it whether checked bytecode is valid.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python3.13 /rouse/python
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/local/bin/python3", "-B", "-I", "-S", "-X", "utf8", "/rouse/python/__main__.py"]

FROM node:24-slim AS runtime-node
COPY runtimes/node/*.js runtimes/node/package.json /rouse/node/
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/local/bin/node", "--experimental-vm-modules", "/rouse/node/main.js"]

FROM scratch AS testapp
COPY --from=build /out/testapp /testapp
ENV VERSION=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/testapp"]

FROM scratch AS activator
COPY --from=build /out/activator /activator
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/activator"]

# The last one is what a build without --target makes.
FROM scratch AS operator
COPY --from=build /out/operator /operator
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/operator"]
