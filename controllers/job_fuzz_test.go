package controllers

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// maxStatus is far below what the API server takes of an object, 1.5 MiB.
const maxStatus = 256 << 10

// FuzzAnswers: whatever a Job's ConfigMap holds is refused with an error that names key and
// ConfigMap, or becomes a status that can be written.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"attempts":1,"beat":7,"table":"app.people","rows":5}`, `{"outcome":"Done","asked":{"operation":"c1","kind":"Checksum"},"rows":7,"duration":"1ns"}`)
	f.Add(`null`, `null`)
	f.Add(`{"remaining":"-1ns"}`, `{"rows":9223372036854775807,"duration":"1ns","skipped":null}`)
	f.Add(`{"note":"`+strings.Repeat("n", 5000)+`"}`, `{"message":"`+strings.Repeat("m", 700<<10)+`","skipped":["`+strings.Repeat("ä", 3000)+`"]}`)
	f.Add(``, `{"backup":{"gtids":"`+strings.Repeat("ä", 3000)+`","removed":["`+strings.Repeat("r", 3000)+`"],"stored":[{}]}}`)
	f.Add(``, `{"restoreDrill":{"gtids":"`+strings.Repeat("ä", 3000)+`","backup":"`+strings.Repeat("b", 3000)+`","until":null,"copyTime":"1ns"}}`)
	f.Add(``, `{"differing":[`+strings.Repeat(`{"table":"app.t","rows":1},`, 999)+`{}]}`)
	f.Fuzz(func(t *testing.T, progressText, resultText string) {
		m := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "job"},
			Data:       map[string]string{jobapi.KeyProgress: progressText, jobapi.KeyResult: resultText},
		}
		progress, result, err := answers(m)
		if err != nil {
			if !strings.Contains(err.Error(), ".json of ConfigMap job") {
				t.Errorf("the error names neither key nor ConfigMap: %v", err)
			}
			return
		}
		written := []any{}
		if progress != nil {
			written = append(written, progressOf(*progress))
		}
		if result != nil {
			status := resultOf(v1alpha1.OperationChecksum, *result, "job")
			if result.Rows >= 0 && status.RowsPerSecond < 0 {
				t.Errorf("%d rows in %s are %d a second", result.Rows, result.Duration, status.RowsPerSecond)
			}
			backup := resultOf(v1alpha1.OperationBackup, *result, "job")
			drill := resultOf(v1alpha1.OperationRestoreDrill, *result, "job")
			written = append(written, status, backup, drill, result.Message, result.Asked.String())
		}
		text, err := json.Marshal(written)
		if err != nil || len(text) > maxStatus {
			t.Errorf("a status of %d bytes (%v)", len(text), err)
		}
	})
}
