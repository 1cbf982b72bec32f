# gelo in an image, with the exact releases of constraints.txt. For machines without a GPU:
#   docker build -t gelo .
#   docker run --rm --shm-size=4g -v "$PWD":/work gelo run demo
# With CUDA (torch from PyPI, and `docker run --gpus all`):
#   docker build -t gelo --build-arg BASE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 --build-arg TORCH_INDEX= .
# Results land in out/ of the folder that is mounted at /work; it must be writable for user 10001, or give `--user $(id -u):$(id -g)`.
ARG BASE=python:3.11-slim
FROM ${BASE}

# An address of torch's wheels beside PyPI; empty: PyPI alone, whose torch carries CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# CUDA's images have no Python of their own.
# hadolint ignore=DL3008
RUN if ! command -v python3 >/dev/null; then \
        apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*; \
    fi \
    && python3 -m venv /opt/gelo \
    && useradd --uid 10001 --create-home gelo \
    && install --directory --owner gelo /work
ENV PATH=/opt/gelo/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# What gelo needs, in a layer of its own: a change of the code does not install torch again.
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needs.txt \
    && PIP_EXTRA_INDEX_URL=${TORCH_INDEX} pip install -c constraints.txt -r needs.txt

COPY README.md LICENSE ./
COPY gelo gelo
COPY models models
COPY tasks tasks
COPY sweeps sweeps
COPY analysis analysis
RUN pip install --no-deps .

# A user without a name in the image (`--user`) has no home: Ray, MLflow and matplotlib keep their files in /tmp.
ENV HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001
WORKDIR /work
ENTRYPOINT ["gelo"]
CMD ["--help"]
