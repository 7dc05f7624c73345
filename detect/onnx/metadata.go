package onnx

import (
	"encoding/json"
	"fmt"

	"sightline/kernels"
)

// Metadata is what a file needs in its own metadata to be described as it is now,
// without a file beside it.
func (spec *Spec) Metadata() map[string]string {
	in := spec.Input
	order, fit := "rgb", "center"
	if in.Order == kernels.BGR {
		order = "bgr"
	}
	switch in.Fit {
	case kernels.LetterboxTopLeft:
		fit = "topleft"
	case kernels.Stretch:
		fit = "stretch"
	}
	return map[string]string{
		"family": spec.Family, "names": jsonText(spec.Labels), "color": order, "mean": jsonText(in.Mean), "std": jsonText(in.Std),
		"fit": fit, "pad": fmt.Sprint(in.Pad), "size": fmt.Sprintf("[%d, %d]", in.Base.Height, in.Base.Width),
	}
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of lists of strings and finite numbers
	}
	return string(text)
}
