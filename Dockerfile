# docker build -t tavlo .                                       with the CUDA libraries of torch; run with --gpus all
# docker build -t tavlo:cpu --build-arg TORCH_INDEX=ADDRESS .   without: 0.2 GB of torch instead of 5
FROM python:3.11-slim

# Package index of torch, torchvision and torchaudio; that of wheels for CPUs is on pytorch.org under "Get started".
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /opt/tavlo

# torch in a layer of its own: it changes only with constraints.txt.
COPY constraints.txt ./
RUN grep -E '^torch(vision|audio)?==' constraints.txt > torch.txt \
    && pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r torch.txt

COPY pyproject.toml README.md LICENSE NOTICE MANIFEST.in ./
COPY configs configs
COPY tavlo_pl tavlo_pl
RUN pip install -c constraints.txt '.[app]'

RUN useradd --create-home tavlo && mkdir /data && chown tavlo /data
USER tavlo
WORKDIR /data
ENTRYPOINT ["tavlo"]
CMD ["--help"]
