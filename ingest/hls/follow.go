package hls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"sightline/ingest"
	"sightline/ingest/av"
)

const (
	// maxHops is how many playlists may lead to each other.
	maxHops = 3
	// maxMissed is how many segments in a row may be missing before the stream is
	// given up.
	maxMissed = 3
	// A playlist is asked for again after half a segment, within these bounds.
	minReload, maxReload = 250 * time.Millisecond, 5 * time.Second
	// maxTarget is the longest segment that is waited for: a playlist may promise
	// hours, and would then hold us that long when it stops.
	maxTarget = time.Minute
)

// piece is a segment that was fetched.
type piece struct {
	segment
	data    []byte
	lost    bool // one in front of it is missing
	live    bool // more are made while it is played
	arrival time.Time
}

// follower fetches one segment after the other.
type follower struct {
	*fetcher
	stream string
	log    *slog.Logger
	out    chan<- piece

	at     *url.URL // of the media playlist
	next   int64    // number of the segment to fetch, once begun
	begun  bool
	lost   bool // something in front of the next segment is missing
	cut    bool // and it, or what is missing, has nothing to do with what came before
	missed int  // in a row
	skips  int  // in all
}

// follow sends the stream's segments until a recording ends (nil) or it fails.
func (f *follower) follow(ctx context.Context, target *url.URL) error {
	list, err := f.open(ctx, target)
	if err != nil {
		return err
	}
	news := time.Now() // when the playlist last had a new segment
	for {
		fetched, err := f.fetch(ctx, list)
		switch {
		case err != nil:
			return err
		case list.ended:
			return nil
		case fetched:
			news = time.Now()
		}
		wait := patience(f.timeout, list.target)
		reload := min(max(list.target/2, minReload), maxReload)
		select {
		case <-time.After(reload):
		case <-ctx.Done():
			return ctx.Err()
		}
		again, _, err := f.playlist(ctx, f.at)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && time.Since(news) > wait:
			return err
		case err == nil:
			list = again
		}
		if time.Since(news) > wait && !f.hasNews(list) {
			return av.Fail(ingest.Redacted(f.at), ingest.ReasonTimeout, fmt.Errorf("the playlist has no new segment for %v", wait))
		}
	}
}

// patience is how long a playlist whose segments are as long as target may stay as
// it is.
func patience(timeout, target time.Duration) time.Duration {
	return max(timeout, 3*min(target, maxTarget))
}

// open finds the media playlist: that of the variant with the largest picture,
// and among equals of the highest bandwidth.
func (f *follower) open(ctx context.Context, target *url.URL) (playlist, error) {
	for from := range maxHops {
		list, at, err := f.playlist(ctx, target)
		if err != nil {
			return playlist{}, err
		}
		f.at = at
		if len(list.variants) == 0 {
			return list, nil
		}
		best := list.variants[0]
		for _, v := range list.variants[1:] {
			if v.better(best) {
				best = v
			}
		}
		if target, err = at.Parse(best.uri); err != nil {
			return playlist{}, av.Fail(ingest.Redacted(at), ingest.ReasonFailed, errors.New("names a variant whose address cannot be read"))
		}
		f.log.Debug("hls variant chosen", "stream", f.stream, "of", len(list.variants), "pixels", best.pixels, "bandwidth", best.bandwidth, "hop", from)
	}
	return playlist{}, av.Fail(ingest.Redacted(f.at), ingest.ReasonFailed, errors.New("the playlists go round in circles"))
}

func (v variant) better(than variant) bool {
	switch {
	case v.video != than.video:
		return v.video
	case v.pixels != than.pixels:
		return v.pixels > than.pixels
	}
	return v.bandwidth > than.bandwidth
}

// hasNews tells whether a playlist lists a segment that was not fetched.
func (f *follower) hasNews(list playlist) bool {
	n := len(list.segments)
	return n > 0 && (!f.begun || list.segments[n-1].number >= f.next)
}

// fetch sends what is new in a playlist, and tells whether there was anything.
func (f *follower) fetch(ctx context.Context, list playlist) (fetched bool, err error) {
	if len(list.segments) == 0 {
		return false, nil
	}
	first, last := list.segments[0].number, list.segments[len(list.segments)-1].number
	edge := first
	if !list.ended {
		edge = last
	}
	switch {
	case !f.begun:
		f.begun, f.next = true, edge
	case f.next < first, f.next > last+1: // too late, or the numbers began anew
		f.log.Debug("hls segments are gone", "stream", f.stream, "wanted", f.next, "first", first, "last", last)
		f.cut = f.cut || f.next > last+1
		f.next, f.lost = edge, true
	}
	for _, s := range list.segments {
		if s.number < f.next {
			continue
		}
		if err := f.take(ctx, s, !list.ended); err != nil {
			return false, err
		}
		f.next, fetched = s.number+1, true
	}
	return fetched, nil
}

// take fetches one segment and sends it on. One that is not there is passed over.
func (f *follower) take(ctx context.Context, s segment, live bool) error {
	f.cut = f.cut || s.discontinuity
	if s.missing {
		f.lost = true
		return nil
	}
	data, err := f.media(ctx, f.at, s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.missed++
		f.skips++
		f.lost = true
		if f.missed == maxMissed || ingest.ReasonOf(err) == ingest.ReasonUnsupportedCodec || ingest.ReasonOf(err) == ingest.ReasonUnauthorized {
			return err
		}
		f.log.Debug("hls segment passed over", "stream", f.stream, "error", err)
		return nil
	}
	p := piece{segment: s, data: data, lost: f.lost, live: live, arrival: time.Now()}
	p.discontinuity = f.cut
	f.lost, f.cut, f.missed = false, false, 0
	select {
	case f.out <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
