package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MySQLOptionValue is the value of one mysqld option, as text for the option file. A manifest
// may have a string, a number or a boolean: 200 is "200", true is "ON" and false is "OFF".
//
// +kubebuilder:validation:XPreserveUnknownFields
// +kubebuilder:validation:Type=""
type MySQLOptionValue string

// rawMark precedes JSON text that is no value of an option. No value contains it.
const rawMark = "\x00"

// largestExact is the absolute value below which every whole number has an exact float64.
const largestExact = 1 << 53

// UnmarshalJSON takes a string, a number or a boolean; of other JSON it makes a value for
// which Invalid says why. It is no error, since one object that cannot be decoded hides all
// others from a client that lists them.
func (v *MySQLOptionValue) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return fmt.Errorf("unmarshal the value of a mysqld option: no JSON")
	case data[0] == '"':
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("unmarshal the value of a mysqld option: %w", err)
		}
		*v = MySQLOptionValue(text)
	case string(data) == "true":
		*v = "ON"
	case string(data) == "false":
		*v = "OFF"
	default:
		*v = numberValue(string(data))
	}
	return nil
}

func numberValue(text string) MySQLOptionValue {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return MySQLOptionValue(strconv.FormatInt(n, 10))
	}
	f, err := strconv.ParseFloat(text, 64)
	// The API server keeps a number that is no 64-bit integer as a float.
	if err != nil || math.Abs(f) >= largestExact {
		return MySQLOptionValue(rawMark + text)
	}
	return MySQLOptionValue(strconv.FormatFloat(f, 'f', -1, 64))
}

// MarshalJSON writes a string, and what was no value of an option as it was.
func (v MySQLOptionValue) MarshalJSON() ([]byte, error) {
	if raw, invalid := strings.CutPrefix(string(v), rawMark); invalid && json.Valid([]byte(raw)) {
		return []byte(raw), nil
	}
	return json.Marshal(string(v))
}

// Invalid says why this cannot be the value of an option, and the fix; empty when it can.
func (v MySQLOptionValue) Invalid() string {
	raw, invalid := strings.CutPrefix(string(v), rawMark)
	switch {
	case !invalid:
		return ""
	case raw == "null":
		return "the value is null: write a value, or remove the option"
	case strings.HasPrefix(raw, "["):
		return "the value is a list: write a string, a number or a boolean, such as \"a,b\""
	case strings.HasPrefix(raw, "{"):
		return "the value is an object: write a string, a number or a boolean"
	}
	return "the number is too large to be kept exactly: write it in quotes"
}
