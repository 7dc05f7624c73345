// RTP time of a capture time: microseconds since 1970 at 90 kHz, modulo 2^32. The
// server stamps the packets of a picture in the same way (web.RTPTime).
export function rtpTime(iso) {
  const [, whole, micros] = /^(.*?)(?:\.(\d{1,6}))?Z$/.exec(iso);
  const us = BigInt(Date.parse(`${whole}Z`)) * 1000n + BigInt((micros ?? '').padEnd(6, '0'));
  return Number((us * 9n / 100n) & 0xffffffffn);
}

// The signed difference of two RTP times.
export const since = (a, b) => (a - b) | 0;
