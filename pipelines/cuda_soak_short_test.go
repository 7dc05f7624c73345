//go:build cuda && !soak

package pipelines

import "time"

const soakCUDA = 2 * time.Minute
