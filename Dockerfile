# One image for every process; the default command runs them all. Built from the locks, without the tools; runs as a user without rights.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# The tools that build the wheel stay in this stage.
RUN python -m venv /opt/weisu && /opt/weisu/bin/pip install --require-hashes -r requirements.lock \
    && python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY forecasting forecasting
COPY experiments experiments
COPY service service
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . && /opt/weisu/bin/pip install --no-deps /wheels/*.whl

FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 postgresql-client && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home weisu && install -d -o weisu /data
COPY --from=build /opt/weisu /opt/weisu
USER weisu
WORKDIR /data
# The API listens to the outside: it asks for keys. MLflow has no login and stays inside the container (WEISU_MLFLOW_HOST).
ENV PATH=/opt/weisu/bin:$PATH WEISU_DATA_DIR=/data WEISU_HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 8000
VOLUME /data
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["weisu", "up"]
