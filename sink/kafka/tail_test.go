package kafka

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"sightline/sink/sinktest"
)

func TestFollowEndsWithWhatWasThere(t *testing.T) {
	t.Parallel()
	c := fake(t, kfake.SeedTopics(2, "sightline.a", "sightline.b", "other"))
	cfg := config(c.ListenAddrs()...)
	cfg.Topic = "sightline.{stream}"
	s := newSink(t, cfg)
	if err := s.Publish(t.Context(), routed(s, sinktest.Records([]string{"a", "b"}, 1, 10))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		span Span
		want []string
	}{
		"what the template can be": {Span{UntilEnd: true}, append(ids("a", 10), ids("b", 10)...)},
		"one":                      {Span{Topics: []string{"sightline.b"}, UntilEnd: true}, ids("b", 10)},
		"pattern":                  {Span{Topics: []string{"*.a", "other"}, UntilEnd: true}, ids("a", 10)},
		"nothing so young":         {Span{Since: time.Now().Add(time.Hour), UntilEnd: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := Follow(t.Context(), cfg, c.span, func(m Message) error {
				got = append(got, header(m, "ce_id"))
				return nil
			})
			slices.Sort(got)
			slices.Sort(c.want)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %d of %d, %v", len(got), len(c.want), err)
			}
		})
	}
	t.Run("what fails ends it", func(t *testing.T) {
		stop := errors.New("enough")
		if err := Follow(t.Context(), cfg, Span{}, func(Message) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
	for topic, want := range map[string]string{"none*": "no topic has such a name", "none": "--create --topic none"} {
		if _, err := Ends(t.Context(), cfg, topic); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", topic, err, want)
		}
	}
}

func TestEnds(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "b", "a"))
	cfg := config(c.ListenAddrs()...)
	cfg.Topic = "a"
	if err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"x"}, 1, 7)); err != nil {
		t.Fatal(err)
	}
	got, err := Ends(t.Context(), cfg, "b", "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]End{{"a", 0, 0, 7}, {"b", 0, 0, 0}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
