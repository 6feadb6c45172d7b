# The service and its workers in one image; compose.yaml runs them with a database and a proxy.
#
#   docker build -t provenote .
#   docker build -t provenote --build-arg EXTRAS=generator,postgresql,pdf,fast .    with torch, for prompts
FROM python:3.11-slim-bookworm

ARG EXTRAS=postgresql,pdf,fast

# pg_dump and pg_restore, for backups; the version must not be older than the server's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/provenote
# Installed from its folder, which the migrations are read from.
COPY pyproject.toml constraints.txt README.md ./
COPY alembic alembic
COPY api api
COPY generator generator
COPY ledger ledger
COPY provenote_client provenote_client
COPY watermark watermark
RUN pip install --no-cache-dir -c constraints.txt -e ".[${EXTRAS}]"

RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/provenote --shell /usr/sbin/nologin provenote \
    && install -d -o provenote -g provenote -m 0700 /var/lib/provenote
# By its number, so that an engine that asks for a user other than root sees that it is one.
USER 10001
VOLUME /var/lib/provenote

ENV PROVENOTE_HOME=/var/lib/provenote/ledger \
    PROVENOTE_LOG=json \
    PROVENOTE_LOG_LEVEL=INFO \
    PYTHONUNBUFFERED=1

EXPOSE 8750
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8750/health', timeout=4)"]
CMD ["provenote", "serve", "--host", "0.0.0.0"]
