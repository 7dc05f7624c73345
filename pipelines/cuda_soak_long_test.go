//go:build cuda && soak

package pipelines

import "time"

const soakCUDA = time.Hour
