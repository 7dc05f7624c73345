package rtp

import "time"

// ntpEpoch is how many seconds NTP's count (from 1900) is ahead of Unix's.
const ntpEpoch = 2208988800

// FromNTP reads a 64-bit NTP time stamp: seconds since 1900 and a binary
// fraction (RFC 5905, 6). Stamps with the top bit clear belong to the era that
// starts in 2036.
func FromNTP(v uint64) time.Time {
	seconds := int64(v >> 32)
	if v>>63 == 0 {
		seconds += 1 << 32
	}
	nanos := (v & 0xffffffff) * uint64(time.Second) >> 32
	return time.Unix(seconds-ntpEpoch, int64(nanos)).UTC()
}

// ToNTP is the inverse of FromNTP, to a third of a nanosecond.
func ToNTP(t time.Time) uint64 {
	fraction := (uint64(t.Nanosecond())<<32 + uint64(time.Second)/2) / uint64(time.Second)
	return uint64(t.Unix()+ntpEpoch)<<32 + fraction
}
