package blobstore

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// openS3 opens a bucket of S3. What SDKs add to requests by default is refused by many stores
// that are compatible with S3, so it is left out. Content-MD5 is in place of it: a bucket with a
// default retention of object lock refuses a PUT that has neither.
func openS3(ctx context.Context, location string) (*blob.Bucket, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("store URL: %w", err)
	}
	query := u.Query()
	pathStyle, err := takeBool(query, "use_path_style")
	if err != nil {
		return nil, err
	}
	query.Set("request_checksum_calculation", "when_required")
	query.Set("response_checksum_validation", "when_required")
	config, err := gcaws.V2ConfigFromURLParams(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("store URL %q: %w", location, err)
	}
	client := s3.NewFromConfig(config, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware)
	})
	return s3blob.OpenBucket(ctx, client, u.Host, &s3blob.Options{
		RequestChecksumCalculation: config.RequestChecksumCalculation,
	})
}

// takeBool removes a parameter that is true or false; false when it is not there.
func takeBool(query url.Values, name string) (bool, error) {
	text := query.Get(name)
	query.Del(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("store URL: the parameter %s is %q: use true or false", name, text)
	}
	return value, nil
}
