# One image for every `moderate` command. The model comes from `moderate model fetch`, or from the hub.
# locks/server.txt pins what is installed, with hashes; no sources stay in the image.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /source
RUN python -m venv /opt/moderation
ENV PATH=/opt/moderation/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY locks ./locks
COPY client ./client
COPY demo ./demo
COPY worker ./worker
COPY migrations ./migrations
COPY policies ./policies
# The CPU build of PyTorch, a tenth of the size; it is not in the lock, as each index has its own builds of it.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --no-deps --requirement locks/server.txt \
    && pip install --extra-index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)" \
    && pip install --no-deps ./client ./demo . \
    && pip check

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/moderation /opt/moderation
# The user's number is the same in every image, so that you can give it a folder. It may write these two
# folders; a new volume mounted on one of them takes over its owner.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent moderation \
    && install --directory --owner moderation --group moderation /media /models \
    && install --directory /policies
ENV PATH=/opt/moderation/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/models \
    MODERATION_MEDIA_ROOT=/media
USER 10001:10001
WORKDIR /
CMD ["moderate", "worker"]
