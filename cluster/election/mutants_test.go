package election_test

import (
	"testing"

	"github.com/tandem-lb/tandem/test/mutant"
)

// TestModelKillsMutants: see testdata/mutants/README.
func TestModelKillsMutants(t *testing.T) { mutant.HuntAll(t, 15) }
