// Stands in for libnvcuvid: FFmpeg's own nvdec code runs on it. Nothing is decoded.
// A decoder takes pictures with all their parameters, keeps account of its surfaces as
// NVDEC does, and maps synthetic pictures that tell their order (pattern.h).
#include <cuda.h>

#include <ffnvcodec/dynlink_cuviddec.h>

#include <map>
#include <mutex>
#include <vector>

#include "../driver/control.h"
#include "pattern.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
struct Surface {
  CUdeviceptr at = 0;
  bool mapped = false;
  CUstream stream = nullptr;  // that it was mapped for
};

struct Decoder {
  CUVIDDECODECREATEINFO info;
  std::mutex lock;
  std::vector<int> orders;  // of the pictures, by index
  std::vector<Surface> surfaces;
  int decoded = 0;

  bool deep() const { return info.OutputFormat == cudaVideoSurfaceFormat_P016; }
  unsigned pitch() const { return (unsigned)(info.ulTargetWidth * (deep() ? 2 : 1) + 511) / 512 * 512; }
  size_t bytes() const { return (size_t)pitch() * ((info.ulTargetHeight + 1) / 2 * 3); }
};

// The codecs of an Ampere GPU, and how many bits a sample has at most.
int depth(cudaVideoCodec codec) {
  switch (codec) {
    case cudaVideoCodec_H264: case cudaVideoCodec_MPEG1: case cudaVideoCodec_MPEG2: case cudaVideoCodec_MPEG4:
    case cudaVideoCodec_VC1: case cudaVideoCodec_JPEG: case cudaVideoCodec_VP8: return 8;
    case cudaVideoCodec_AV1: return 10;
    case cudaVideoCodec_HEVC: case cudaVideoCodec_VP9: return 12;
    default: return 0;
  }
}

int order_of(const Decoder& d, const CUVIDPICPARAMS& p) {
  switch (d.info.CodecType) {
    case cudaVideoCodec_H264: return p.CodecSpecific.h264.CurrFieldOrderCnt[p.bottom_field_flag ? 1 : 0] & 0xffff;
    case cudaVideoCodec_HEVC: return p.CodecSpecific.hevc.CurrPicOrderCntVal & 0xffff;
    default: return d.decoded;
  }
}

// Why nothing can be done: no context is current on this thread, or it is lost.
CUresult refused() {
  unsigned flags;
  return cuCtxGetFlags(&flags);
}

// What a mapped surface shall show, drawn when its stream comes to it.
struct Drawing {
  unsigned char* to;
  Pattern pattern;
};

void draw(void* user) {
  Drawing* d = (Drawing*)user;
  d->pattern.draw(d->to);
  delete d;
}
}  // namespace

EXPORT CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS* caps) {
  if (CUresult r = refused()) return r;
  caps->bIsSupported = !sightline_emu_hit("codec") && caps->eChromaFormat == cudaVideoChromaFormat_420 &&
                       (int)caps->nBitDepthMinus8 + 8 <= depth(caps->eCodecType);
  caps->nNumNVDECs = 1;
  caps->nOutputFormatMask = 1 << cudaVideoSurfaceFormat_NV12 | 1 << cudaVideoSurfaceFormat_P016;
  caps->nMaxWidth = caps->nMaxHeight = caps->eCodecType == cudaVideoCodec_H264 ? 4096 : 8192;
  caps->nMaxMBCount = caps->nMaxWidth / 16 * (caps->nMaxHeight / 16);
  caps->nMinWidth = 48, caps->nMinHeight = 16;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuvidDestroyDecoder(CUvideodecoder handle) {
  Decoder* d = (Decoder*)handle;
  if (!d) return CUDA_ERROR_INVALID_HANDLE;
  for (Surface& s : d->surfaces) {
    if (s.mapped) sightline_emu_add("surfaces", -1);
    if (s.at) cuMemFree(s.at);
  }
  sightline_emu_add("decoders", -1);
  delete d;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuvidCreateDecoder(CUvideodecoder* handle, CUVIDDECODECREATEINFO* info) {
  if (CUresult r = refused()) return r;
  if (!depth(info->CodecType) || !info->ulNumDecodeSurfaces || info->ulNumDecodeSurfaces > 32 || info->ulNumOutputSurfaces > 64)
    return CUDA_ERROR_INVALID_VALUE;
  if (sightline_emu_hit("decoder")) return CUDA_ERROR_OUT_OF_MEMORY;
  Decoder* d = new Decoder;
  d->info = *info;
  d->orders.assign(info->ulNumDecodeSurfaces, -1);
  d->surfaces.resize(info->ulNumOutputSurfaces ? info->ulNumOutputSurfaces : 1);
  sightline_emu_add("decoders", 1);
  for (Surface& s : d->surfaces)
    if (CUresult r = cuMemAlloc(&s.at, d->bytes())) {
      s.at = 0;
      cuvidDestroyDecoder(d);
      return r;
    }
  *handle = d;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS* p) {
  Decoder* d = (Decoder*)handle;
  if (CUresult r = refused()) return r;
  std::lock_guard<std::mutex> guard(d->lock);
  if (!p->nBitstreamDataLen || !p->pBitstreamData || p->CurrPicIdx < 0 || p->CurrPicIdx >= (int)d->orders.size())
    return CUDA_ERROR_INVALID_VALUE;
  if (sightline_emu_hit("picture")) return CUDA_ERROR_UNKNOWN;
  if (!p->second_field) {
    d->orders[p->CurrPicIdx] = order_of(*d, *p);
    d->decoded++;
    sightline_emu_add("pictures", 1);
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int index, unsigned long long* to, unsigned* pitch,
                                     CUVIDPROCPARAMS* how) {
  Decoder* d = (Decoder*)handle;
  std::lock_guard<std::mutex> guard(d->lock);
  if (index < 0 || index >= (int)d->orders.size() || d->orders[index] < 0) return CUDA_ERROR_INVALID_VALUE;
  if (sightline_emu_hit("map")) return CUDA_ERROR_MAP_FAILED;
  for (Surface& s : d->surfaces) {
    if (s.mapped) continue;
    s.stream = (CUstream)how->output_stream;
    Drawing* drawing = new Drawing{(unsigned char*)s.at,
                                   {d->orders[index], d->deep(), (int)d->info.ulTargetWidth, (int)d->info.ulTargetHeight, d->pitch()}};
    if (CUresult r = cuLaunchHostFunc(s.stream, draw, drawing)) {
      delete drawing;
      return r;
    }
    s.mapped = true;
    sightline_emu_add("surfaces", 1);
    *to = s.at, *pitch = d->pitch();
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_MAP_FAILED;  // all are out
}

// Whoever still reads the surface, on a stream that does not wait for the decoder's,
// finds it spoiled.
EXPORT CUresult cuvidUnmapVideoFrame64(CUvideodecoder handle, unsigned long long at) {
  Decoder* d = (Decoder*)handle;
  std::lock_guard<std::mutex> guard(d->lock);
  for (Surface& s : d->surfaces) {
    if (s.at != at || !s.mapped) continue;
    s.mapped = false;
    sightline_emu_add("surfaces", -1);
    return cuMemsetD8Async(s.at, 0xFF, d->bytes(), s.stream);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuvidGetDecodeStatus(CUvideodecoder, int, CUVIDGETDECODESTATUS* status) {
  status->decodeStatus = cuvidDecodeStatus_Success;
  return CUDA_SUCCESS;
}

// FFmpeg wants these to be there and does not call them: it parses streams itself.
#define MISSING(name) \
  EXPORT int name() { return CUDA_ERROR_NOT_SUPPORTED; }
MISSING(cuvidReconfigureDecoder)
MISSING(cuvidCtxLockCreate)
MISSING(cuvidCtxLockDestroy)
MISSING(cuvidCtxLock)
MISSING(cuvidCtxUnlock)
MISSING(cuvidCreateVideoSource)
MISSING(cuvidCreateVideoSourceW)
MISSING(cuvidDestroyVideoSource)
MISSING(cuvidSetVideoSourceState)
MISSING(cuvidGetVideoSourceState)
MISSING(cuvidGetSourceVideoFormat)
MISSING(cuvidGetSourceAudioFormat)
MISSING(cuvidCreateVideoParser)
MISSING(cuvidParseVideoData)
MISSING(cuvidDestroyVideoParser)
