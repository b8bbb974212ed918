# syntax=docker/dockerfile:1

# The base is an argument, so a release can pin its digest. Find the current digest with
#   docker buildx imagetools inspect docker.io/library/python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'
# and build with --build-arg BASE_DIGEST=sha256:…; the release workflow does. Without it, the tag decides.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm
ARG BASE_DIGEST=

FROM ${PYTHON_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ROOT_USER_ACTION=ignore
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src

# Dependencies first: they change less often than the code. The environment has no pip.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/gigas-exporter \
    && pip --python /opt/gigas-exporter/bin/python install --require-hashes --only-binary :all: --requirement requirements/runtime.txt \
    && python -m venv /tmp/builder \
    && /tmp/builder/bin/pip install --require-hashes --only-binary :all: --requirement requirements/build.txt

COPY pyproject.toml LICENSE ./
COPY exporter exporter
COPY dashboards dashboards
COPY alerts alerts
RUN /tmp/builder/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheel . \
    && pip --python /opt/gigas-exporter/bin/python install --no-deps --no-index /tmp/wheel/gigas_exporter-*.whl


FROM ${PYTHON_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}}

ARG PYTHON_IMAGE
ARG BASE_DIGEST
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=
ARG SOURCE=https://github.com/gigas-exporter/gigas-exporter
LABEL org.opencontainers.image.title="gigas-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the disks and backups of Gigas cloud accounts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/tree/main/docs" \
      org.opencontainers.image.authors="the contributors of gigas-exporter" \
      org.opencontainers.image.vendor="gigas-exporter" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"

# tini is process 1, because Python as process 1 would ignore a SIGTERM before it waits for signals. If such an early
# SIGTERM ends Python, tini -e 143 exits with 0.
# Python packages cannot be installed into a running container, not even by root.
# Debian keeps only the newest version of a package, so a pinned one could not be installed after an update.
# hadolint ignore=DL3008
RUN apt-get update --quiet=2 \
    && apt-get install --quiet=2 --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && python -m pip uninstall --yes --quiet --root-user-action=ignore pip

COPY --from=build /opt/gigas-exporter /opt/gigas-exporter

# The image has the bytecode, and Python writes none: the root file system may be read-only.
ENV PATH="/opt/gigas-exporter/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 10063
STOPSIGNAL SIGTERM

# Override it if you set --web.listen-address or TLS; orchestrators have their own probes.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:10063/-/healthy', timeout=4).read()"]

ENTRYPOINT ["tini", "-e", "143", "--", "gigas-exporter"]
CMD ["serve"]
