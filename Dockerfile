# One image for workers, for the HTTP API and for migrations; the model comes from the hub or from a mounted folder.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY worker ./worker
COPY migrations ./migrations
COPY policies ./policies
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        --constraint constraints.txt ".[worker,s3]" \
    && useradd --create-home moderation
USER moderation
CMD ["moderate", "worker"]
