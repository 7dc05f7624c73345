package onvif

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"sightline/ingest"
)

// Device is a camera and what it offers. Its texts are printable, on one line and
// of bounded length.
type Device struct {
	Manufacturer, Model, Firmware, Serial string
	Ahead                                 time.Duration // the camera's clock minus ours
	Profiles                              []Profile     // the largest picture first
}

// Profile is one stream of a camera. What it does not say is zero.
type Profile struct {
	Token, Name   string
	Codec         ingest.Codec
	Width, Height int
	FPS           float64 // at most
	Bitrate       int     // bit/s, at most
	GOP           int     // pictures from one keyframe to the next
	Stream        string  // rtsp address, without credentials
	Snapshot      string  // http address of a still, without credentials
}

// maxProfiles bounds what one camera is asked about.
const maxProfiles = 16

// Describe asks everything. Its errors are *ingest.Error, and ctx's.
func (c *Client) Describe(ctx context.Context) (Device, error) {
	if err := c.sync(ctx); err != nil {
		return Device{}, err
	}
	d, err := c.information(ctx)
	if err != nil {
		return Device{}, err
	}
	media, err := c.media(ctx)
	if err != nil {
		return Device{}, err
	}
	for _, m := range media {
		if d.Profiles, err = c.profiles(ctx, m); err == nil && len(d.Profiles) > 0 {
			break
		}
	}
	if err == nil && len(d.Profiles) == 0 {
		err = c.fail(ingest.ReasonNotFound, errors.New("the camera has no profile with video"))
	}
	slices.SortStableFunc(d.Profiles, func(a, b Profile) int { return cmp.Compare(b.Width*b.Height, a.Width*a.Height) })
	return d, err
}

// sync asks what time it is there, which needs no login: the login needs it.
func (c *Client) sync(ctx context.Context) error {
	var answer struct {
		Clock struct {
			Date struct{ Year, Month, Day number }
			Time struct{ Hour, Minute, Second number }
		} `xml:"Body>GetSystemDateAndTimeResponse>SystemDateAndTime>UTCDateTime"`
	}
	asked := time.Now()
	err := c.call(ctx, c.device, `<GetSystemDateAndTime xmlns="`+nsDevice+`"/>`, &answer)
	if err != nil && ingest.ReasonOf(err) != ingest.ReasonUnauthorized { // some ask even here, against the rules
		return err
	}
	date, clock := answer.Clock.Date, answer.Clock.Time
	if date.Year > 0 {
		theirs := time.Date(int(date.Year), time.Month(date.Month), int(date.Day), int(clock.Hour), int(clock.Minute), int(clock.Second), 0, time.UTC)
		c.ahead = theirs.Sub(asked.Add(time.Since(asked) / 2))
	}
	c.synced = true
	return nil
}

func (c *Client) information(ctx context.Context) (Device, error) {
	var answer struct {
		Device struct {
			Manufacturer, Model, FirmwareVersion, SerialNumber string
		} `xml:"Body>GetDeviceInformationResponse"`
	}
	err := c.call(ctx, c.device, `<GetDeviceInformation xmlns="`+nsDevice+`"/>`, &answer)
	a := answer.Device
	return Device{
		Manufacturer: plain(a.Manufacturer), Model: plain(a.Model), Firmware: plain(a.FirmwareVersion), Serial: plain(a.SerialNumber), Ahead: c.ahead,
	}, err
}

// media is a camera's media service, in one of its two generations.
type media struct {
	namespace string
	address   *url.URL
}

// media lists the camera's media services, the second generation first: only it
// knows H.265.
func (c *Client) media(ctx context.Context) ([]media, error) {
	found, err := c.services(ctx)
	if err != nil || len(found) == 0 {
		if ctx.Err() != nil || ingest.ReasonOf(err) == ingest.ReasonUnauthorized {
			return nil, err
		}
		return c.capabilities(ctx) // of cameras before ONVIF 2.1
	}
	return found, nil
}

func (c *Client) services(ctx context.Context) (found []media, err error) {
	var answer struct {
		Services []struct{ Namespace, XAddr string } `xml:"Body>GetServicesResponse>Service"`
	}
	question := `<GetServices xmlns="` + nsDevice + `"><IncludeCapability>false</IncludeCapability></GetServices>`
	if err := c.call(ctx, c.device, question, &answer); err != nil {
		return nil, err
	}
	for _, namespace := range []string{nsMedia2, nsMedia} {
		for _, s := range answer.Services {
			if strings.TrimSpace(s.Namespace) != namespace {
				continue
			}
			address, err := c.service(s.XAddr)
			if err != nil {
				return nil, err
			}
			found = append(found, media{namespace, address})
		}
	}
	return found, nil
}

func (c *Client) capabilities(ctx context.Context) ([]media, error) {
	var answer struct {
		XAddr string `xml:"Body>GetCapabilitiesResponse>Capabilities>Media>XAddr"`
	}
	question := `<GetCapabilities xmlns="` + nsDevice + `"><Category>Media</Category></GetCapabilities>`
	if err := c.call(ctx, c.device, question, &answer); err != nil {
		return nil, err
	}
	address, err := c.service(answer.XAddr)
	if err != nil {
		return nil, err
	}
	return []media{{nsMedia, address}}, nil
}
