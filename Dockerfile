# docker build -t tavlo .                              CPU
# docker build -t tavlo:cuda --build-arg TORCH=cuda .  with the CUDA libraries of torch; run with --gpus all
FROM python:3.11-slim

# cpu: the wheels of pytorch.org without CUDA, 0.2 GB instead of 5. cuda: those of PyPI.
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /opt/tavlo

# torch in a layer of its own: it changes only with constraints.txt.
COPY constraints.txt ./
RUN case "$TORCH" in \
      cpu) index="--index-url https://download.pytorch.org/whl/cpu" ;; \
      cuda) index="" ;; \
      *) echo "TORCH is $TORCH; give cpu or cuda"; exit 2 ;; \
    esac \
    && grep -E '^torch(vision|audio)?==' constraints.txt > torch.txt \
    && pip install $index -r torch.txt

COPY pyproject.toml README.md LICENSE NOTICE MANIFEST.in ./
COPY configs configs
COPY tavlo_pl tavlo_pl
RUN pip install -c constraints.txt '.[app]'

RUN useradd --create-home tavlo && mkdir /data && chown tavlo /data
USER tavlo
WORKDIR /data
ENTRYPOINT ["tavlo"]
CMD ["--help"]
