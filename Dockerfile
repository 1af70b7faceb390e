# syntax=docker/dockerfile:1
# The base is pinned by tag only: its digest could not be looked up where this file was written. Pin it when you build:
#   docker build --build-arg BASE=python:3.13-slim-trixie@sha256:... -t stackledger:0.1.0 .
ARG BASE=python:3.13-slim-trixie

# -- builder: everything that is needed to install, and that must not run in a cluster ---------------------------------
FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The locks first: this layer changes only when a dependency does.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/stackledger \
 && python -m pip install --require-hashes --only-binary :all: -r requirements/build.txt \
 && python -m pip --python /opt/stackledger/bin/python install \
      --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY . .
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && python -m pip --python /opt/stackledger/bin/python install --no-deps --no-index /dist/*.whl

# -- what runs: the interpreter and the installed wheels; no pip, no compiler, no lock files --------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="stackledger" \
      org.opencontainers.image.description="A Kubernetes operator for ObservabilityPlatform resources that forgets nothing" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip
COPY --from=builder /opt/stackledger /opt/stackledger
# The root file system is read-only in the cluster; /tmp is the one place that can be written to.
ENV PATH=/opt/stackledger/bin:$PATH HOME=/tmp TZ=UTC PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["stackledger"]
CMD ["run"]
