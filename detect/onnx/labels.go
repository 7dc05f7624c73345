package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseNames reads class names as model files carry them: a JSON list, a JSON
// object of index to name, or the text of a Python dict or list, which is what
// Ultralytics writes: {0: 'person', 1: "driver's seat"}.
func parseNames(text string) ([]string, error) {
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil {
		return list, nil
	}
	p := namesParser{rest: strings.TrimSpace(text)}
	names, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("class names %s: %w", abbreviate(text), err)
	}
	return names, nil
}

type namesParser struct{ rest string }

func (p *namesParser) parse() ([]string, error) {
	closing := "]"
	switch {
	case p.take("{"):
		closing = "}"
	case p.take("["):
	default:
		return nil, errors.New("neither a list nor a mapping")
	}
	var names []string
	for !p.take(closing) {
		if len(names) > 0 && !p.take(",") {
			return nil, errors.New("no comma between names")
		}
		if p.take(closing) {
			break
		}
		if closing == "}" {
			if err := p.index(len(names)); err != nil {
				return nil, err
			}
		}
		name, err := p.quoted()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (p *namesParser) take(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	rest, found := strings.CutPrefix(p.rest, token)
	p.rest = rest
	return found
}

// index reads the key of the next name, which must be its place.
func (p *namesParser) index(want int) error {
	key, rest, found := strings.Cut(p.rest, ":")
	got, err := strconv.Atoi(strings.Trim(key, " \"'"))
	if !found || err != nil || got != want {
		return fmt.Errorf("index %d is missing or out of order", want)
	}
	p.rest = rest
	return nil
}

func (p *namesParser) quoted() (string, error) {
	p.take("")
	if p.rest == "" || !strings.ContainsAny(p.rest[:1], `"'`) {
		return "", errors.New("a name without quotes")
	}
	quote := p.rest[0]
	var name strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			return name.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			name.WriteByte(p.rest[i])
		default:
			name.WriteByte(c)
		}
	}
	return "", errors.New("a quote that does not end")
}

func abbreviate(text string) string {
	if len(text) > 60 {
		return strconv.Quote(text[:60]) + "…"
	}
	return strconv.Quote(text)
}

// cocoLabels are the 80 classes of COCO, in the order networks are trained with.
func cocoLabels() []string {
	return strings.Split("person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"+
		"stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,"+
		"handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,"+
		"surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,"+
		"carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,"+
		"keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"+
		"toothbrush", ",")
}

// groups gives the classes that suppress each other a common group: a van
// flips between car, truck and bus, and both boxes would survive.
func groups(labels []string) []int32 {
	out := make([]int32, len(labels))
	vehicle := int32(-1)
	for i, label := range labels {
		out[i] = int32(i)
		if label == "car" || label == "truck" || label == "bus" {
			if vehicle < 0 {
				vehicle = int32(i)
			}
			out[i] = vehicle
		}
	}
	return out
}
