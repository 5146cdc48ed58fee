# The service in a container: docs/serve.md, "In containers". scripts/check_docker.py runs these steps without Docker.
FROM python:3.12-slim

RUN apt-get update && apt-get install -y --no-install-recommends espeak-ng && rm -rf /var/lib/apt/lists/*

COPY pyproject.toml constraints.txt README.md LICENSE NOTICE /source/
COPY src /source/src
RUN pip install --no-cache-dir -c /source/constraints.txt "/source[serve,serve-postgres,serve-s3]" && rm -rf /source

RUN useradd --create-home --uid 10001 pcavs && mkdir /data && chown pcavs /data
USER pcavs

# Jobs, uploads, films, keys (/data/serve) and natural voices (/data/voices) are kept in the volume.
ENV PCAVS_DATA=/data OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]

# Needs a token, because others can reach it: pcavs tokens new NAME.
CMD ["pcavs", "serve", "--host", "0.0.0.0"]
