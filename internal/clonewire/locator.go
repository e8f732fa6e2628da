package clonewire

import "encoding/binary"

// Locator names the snapshot that a donor holds for one storage engine.
type Locator struct {
	// Engine is the storage engine's number in the donor.
	Engine byte
	// Value is what the engine made of it; only the engine reads it.
	Value []byte
}

func appendLocators(message []byte, locators []Locator) []byte {
	for _, locator := range locators {
		message = append(message, locator.Engine)
		message = binary.LittleEndian.AppendUint32(message, uint32(len(locator.Value)))
		message = append(message, locator.Value...)
	}
	return message
}

// takeLocators takes all that is left; what it returns points into it.
func (f *fields) takeLocators() (locators []Locator) {
	for f.err == nil && len(f.left) > 0 {
		locator := Locator{
			Engine: f.byte("engine of a locator"),
			Value:  f.counted("locator"),
		}
		if f.err == nil {
			locators = append(locators, locator)
		}
	}
	return locators
}

// Locators are the last answer of an opening.
type Locators struct {
	// Version is the one of the protocol that the donor speaks from here on.
	Version uint32
	// Engines has one locator for each storage engine with data to copy.
	Engines []Locator
}

// ParseLocators reads the body of an AnswerLocators; the values point into it.
func ParseLocators(body []byte) (Locators, error) {
	f := fields{left: body}
	parsed := Locators{
		Version: f.little32("version"),
		Engines: f.takeLocators(),
	}
	return parsed, f.end()
}

func (l Locators) encode() []byte {
	message := binary.LittleEndian.AppendUint32(nil, l.Version)
	return appendLocators(message, l.Engines)
}
