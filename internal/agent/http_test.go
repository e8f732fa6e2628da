package agent_test

import (
	"io"
	"net/http"
	"testing"
)

func httpGet(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func httpStatus(t *testing.T, url string) int {
	t.Helper()
	status, _ := httpGet(t, url)
	return status
}

func httpBody(t *testing.T, url string) string {
	t.Helper()
	_, body := httpGet(t, url)
	return body
}
