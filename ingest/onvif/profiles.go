package onvif

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"sightline/ingest"
)

// encoder is how a profile codes its video. The second generation has the length
// of groups as an attribute, the first inside the codec's own settings.
type encoder struct {
	Encoding  string
	Width     number `xml:"Resolution>Width"`
	Height    number `xml:"Resolution>Height"`
	FPS       number `xml:"RateControl>FrameRateLimit"`
	Bitrate   number `xml:"RateControl>BitrateLimit"` // kbit/s
	GOP       number `xml:"GovLength,attr"`
	GOPOfH264 number `xml:"H264>GovLength"`
	GOPOfMPEG number `xml:"MPEG4>GovLength"`
}

// profiles asks for a camera's profiles with video, and for the addresses of each.
func (c *Client) profiles(ctx context.Context, m media) ([]Profile, error) {
	var answer struct {
		Profiles []struct {
			Token  string `xml:"token,attr"`
			Name   string
			First  *encoder `xml:"VideoEncoderConfiguration"`
			Second *encoder `xml:"Configurations>VideoEncoder"`
		} `xml:"Body>GetProfilesResponse>Profiles"`
	}
	question := `<GetProfiles xmlns="` + m.namespace + `"/>`
	if m.namespace == nsMedia2 {
		question = `<GetProfiles xmlns="` + m.namespace + `"><Type>VideoEncoder</Type></GetProfiles>`
	}
	if err := c.call(ctx, m.address, question, &answer); err != nil {
		return nil, err
	}
	var list []Profile
	for _, p := range answer.Profiles {
		e := cmp.Or(p.Second, p.First)
		if e == nil || len(list) == maxProfiles {
			continue
		}
		one := Profile{
			Token: p.Token, Name: plain(p.Name), Codec: codecOf(e.Encoding), Width: int(e.Width), Height: int(e.Height),
			FPS: float64(e.FPS), Bitrate: int(e.Bitrate) * 1000, GOP: int(cmp.Or(e.GOP, e.GOPOfH264, e.GOPOfMPEG)),
		}
		var err error
		if one.Stream, err = c.streamURI(ctx, m, p.Token); err != nil {
			return nil, fmt.Errorf("profile %s: %w", one.Name, err)
		}
		one.Snapshot, _ = c.uri(ctx, m, "GetSnapshotUri", "", p.Token) // many cameras have none
		list = append(list, one)
	}
	return list, nil
}

func (c *Client) streamURI(ctx context.Context, m media, token string) (string, error) {
	setup := `<Protocol>RTSP</Protocol>`
	if m.namespace == nsMedia {
		setup = `<StreamSetup><Stream xmlns="` + nsSchema + `">RTP-Unicast</Stream>` +
			`<Transport xmlns="` + nsSchema + `"><Protocol>RTSP</Protocol></Transport></StreamSetup>`
	}
	return c.uri(ctx, m, "GetStreamUri", setup, token)
}

// uri asks for one of a profile's addresses.
func (c *Client) uri(ctx context.Context, m media, action, setup, token string) (string, error) {
	var answer struct {
		Body struct {
			Response struct {
				First  string `xml:"MediaUri>Uri"`
				Second string `xml:"Uri"`
			} `xml:",any"`
		}
	}
	question := fmt.Sprintf(`<%s xmlns="%s">%s<ProfileToken>%s</ProfileToken></%[1]s>`, action, m.namespace, setup, escaped(token))
	if err := c.call(ctx, m.address, question, &answer); err != nil {
		return "", err
	}
	address, err := c.reach(strings.TrimSpace(cmp.Or(answer.Body.Response.First, answer.Body.Response.Second)))
	if err != nil {
		return "", err
	}
	return address.String(), nil
}

// codecOf names an encoding as our decoders do.
func codecOf(encoding string) ingest.Codec {
	switch e := strings.ToUpper(plain(encoding)); e {
	case "H264":
		return ingest.H264
	case "H265":
		return ingest.H265
	case "JPEG":
		return ingest.MJPEG
	default:
		return ingest.Codec(strings.ToLower(e))
	}
}

// number is a number as cameras write it; what is none is 0.
type number float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *number) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil || f != f || f < -1e12 || f > 1e12 {
		f = 0
	}
	*n = number(f)
	return nil
}
