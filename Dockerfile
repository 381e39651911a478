# ecgwatch's commands in an image. Packages come from the locked requirements, with hashes, as wheels only: no compiler is needed or kept.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/ecgwatch
COPY requirements.lock /build/
RUN /opt/ecgwatch/bin/pip install --quiet --require-hashes --only-binary :all: -r /build/requirements.lock
COPY . /build/
RUN /opt/ecgwatch/bin/pip install --quiet --no-deps --no-build-isolation /build \
 && /opt/ecgwatch/bin/python /build/tools/sbom.py > /opt/ecgwatch/sbom.json \
 && /opt/ecgwatch/bin/pip uninstall --quiet --yes setuptools pip

FROM python:3.11-slim-bookworm
# Safe path: no file in a folder that somebody mounts is taken for a module. BLAS threads only get into the way of the networks.
ENV PATH=/opt/ecgwatch/bin:$PATH PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1 HOME=/tmp ECGWATCH_DATA=/data
RUN useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin ecgwatch \
 && install -d -o ecgwatch -g ecgwatch /data /store/writer /store/reader
COPY --from=build /opt/ecgwatch /opt/ecgwatch
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["ecgwatch"]
CMD ["--help"]
