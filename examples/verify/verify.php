<?php
// Verifies Miniback's webhooks. $header looks a header up by its name; $body is the raw body:
//   $header = fn($name) => $_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))] ?? '';
//   $body = file_get_contents('php://input');
function is_genuine(string $secret, callable $header, string $body, int $now): bool
{
    // hash_equals takes the same time wherever the two differ: else a signature could be guessed byte by byte.
    $expected = hash_hmac('sha256', $body, $secret);
    // While the secret is being rotated, each event is signed by the old one and by the next one.
    if (!hash_equals($expected, $header('X-Miniback-Signature'))
        && !hash_equals($expected, $header('X-Miniback-Signature-Next'))) {
        return false;
    }
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
    if ($key === false || strlen($key) < 16 || strlen($key) > 64) {
        return true; // a secret of another form: the webhook-… headers are not sent
    }
    // This signature is over id and time of sending too, so a recording that somebody plays back is refused.
    $sent_at = $header('webhook-timestamp');
    $signed = $header('X-Miniback-Delivery') . '.' . $sent_at . '.' . $body;
    $stamp = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    $matches = array_filter(
        explode(' ', $header('webhook-signature')),
        fn($given) => hash_equals($stamp, $given)
    );
    return $matches !== [] && is_numeric($sent_at) && abs($now - (int) $sent_at) <= 300;
}
