// Package docs reads the commands and manifests of the documentation, so that tests can run what a reader types.
//
// Every command of a document is run by a test, checked against the program that it calls, or listed with the reason why
// neither is possible; the tests of this package fail for a command that is none of these. A block marked "sh run=NAME" is part of
// the story NAME, which an end-to-end test runs from its first block to its last as it stands. Manifests are sent to an API server.
package docs
