# One image for every process; the default command runs them all. Built from the lock, runs as a user without rights.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/weisu && /opt/weisu/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY forecasting forecasting
COPY experiments experiments
COPY service service
RUN /opt/weisu/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home weisu && install -d -o weisu /data
COPY --from=build /opt/weisu /opt/weisu
USER weisu
WORKDIR /data
# In a container only the outside decides who may connect; keys are needed all the same.
ENV PATH=/opt/weisu/bin:$PATH WEISU_DATA_DIR=/data WEISU_HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 8000 5000
VOLUME /data
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["weisu", "up"]
