package main

import (
	"encoding/json"
	"fmt"
)

// customResource is what is read of a CustomResourceDefinition.
type customResource struct {
	Spec struct {
		Names struct {
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []version `json:"versions"`
	} `json:"spec"`
}

// version of a resource: the columns of kubectl get, and the schema.
type version struct {
	Name    string   `json:"name"`
	Columns []column `json:"additionalPrinterColumns"`
	Schema  struct {
		OpenAPI schema `json:"openAPIV3Schema"`
	} `json:"schema"`
}

type column struct {
	Name        string `json:"name"`
	Path        string `json:"jsonPath"`
	Description string `json:"description"`
	// Priority above 0 is shown by -o wide alone.
	Priority int32 `json:"priority"`
}

// schema is what is read of a field's OpenAPI schema.
type schema struct {
	Description   string            `json:"description"`
	Default       json.RawMessage   `json:"default"`
	Enum          []string          `json:"enum"`
	Minimum       *json.Number      `json:"minimum"`
	Maximum       *json.Number      `json:"maximum"`
	MaxLength     *int64            `json:"maxLength"`
	MaxItems      *int64            `json:"maxItems"`
	MaxProperties *int64            `json:"maxProperties"`
	Required      []string          `json:"required"`
	Properties    map[string]schema `json:"properties"`
	Items         *schema           `json:"items"`
	Rules         []rule            `json:"x-kubernetes-validations"`
}

// rule is one that the API server enforces; its message says what it is.
type rule struct {
	Message string `json:"message"`
}

func (c customResource) version(name string) (version, error) {
	for _, v := range c.Spec.Versions {
		if v.Name == name {
			return v, nil
		}
	}
	return version{}, fmt.Errorf("the CRD has no version %s", name)
}
