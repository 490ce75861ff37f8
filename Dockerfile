# One image for the gateway, the operator and the `postern` command: Node, what they depend on, and the sources as they are.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS application
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Left out: what only tests need, and the optional Node binaries (the image is one). Then what is never loaded: type
# declarations and source maps, more than half of what is left.
RUN npm ci --omit=dev --omit=optional \
    && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete \
    && rm -rf node_modules/.package-lock.json package-lock.json .npmrc
COPY LICENSE ./
COPY crds crds
COPY gateway gateway
COPY operator operator
COPY cli cli
# Readable by whatever user runs it, also where the checkout's umask was strict.
RUN chmod -R a+rX,go-w .

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Postern" \
      org.opencontainers.image.description="Identity-aware gateway for PostgreSQL on Kubernetes: gateway, operator and command" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
# A process that listens needs no package manager beside it.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-*
WORKDIR /app
COPY --from=application /app ./
USER 1000:1000
# The arguments begin with the program: gateway/main.ts, operator/main.ts or cli/main.ts.
ENTRYPOINT ["node"]
CMD ["cli/main.ts", "help"]
