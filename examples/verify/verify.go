// Package miniback verifies Miniback's webhooks.
package miniback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// IsGenuine takes the whole secret and the raw body (io.ReadAll of r.Body, before any JSON is read).
func IsGenuine(secret string, header http.Header, body []byte, now time.Time) bool {
	expected := hex.EncodeToString(sum([]byte(secret), body))
	// While the secret is being rotated, each event is signed by the old one and by the next one.
	if !same(header.Get("X-Miniback-Signature"), expected) && !same(header.Get("X-Miniback-Signature-Next"), expected) {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || !strings.HasPrefix(secret, "whsec_") || len(key) < 16 || len(key) > 64 {
		return true // a secret of another form: the webhook-… headers are not sent
	}
	// This signature is over id and time of sending too, so a recording that somebody plays back is refused.
	sentAt := header.Get("webhook-timestamp")
	signed := header.Get("X-Miniback-Delivery") + "." + sentAt + "." + string(body)
	stamp := "v1," + base64.StdEncoding.EncodeToString(sum(key, []byte(signed)))
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	age := now.Unix() - seconds
	isGenuine := false
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		isGenuine = same(given, stamp) || isGenuine
	}
	return isGenuine && err == nil && age <= 300 && age >= -300
}

func sum(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}

// same takes the same time wherever the two differ: else a signature could be guessed byte by byte.
func same(given, expected string) bool {
	return hmac.Equal([]byte(given), []byte(expected))
}
