# Verifies Miniback's webhooks. header looks a header up by its name; body is the raw body. With Rack or Rails:
#   header = ->(name) { request.get_header("HTTP_" + name.upcase.tr("-", "_")).to_s }
#   body = request.body.read
require "openssl"

module Miniback
  def self.genuine?(secret, header, body, now = Time.now)
    expected = OpenSSL::HMAC.hexdigest("SHA256", secret, body)
    # While the secret is being rotated, each event is signed by the old one and by the next one.
    names = ["X-Miniback-Signature", "X-Miniback-Signature-Next"]
    return false unless names.any? { |name| same?(header.call(name), expected) }

    key = standard_key(secret)
    return true if key.nil? # a secret of another form: the webhook-… headers are not sent

    # This signature is over id and time of sending too, so a recording that somebody plays back is refused.
    sent_at = header.call("webhook-timestamp")
    signed = "#{header.call("X-Miniback-Delivery")}.#{sent_at}.".b + body.b
    stamp = "v1," + [OpenSSL::HMAC.digest("SHA256", key, signed)].pack("m0")
    is_stamped = header.call("webhook-signature").split(" ").any? { |given| same?(given, stamp) }
    is_stamped && (now.to_i - sent_at.to_i).abs <= 300
  end

  def self.standard_key(secret)
    key = secret.delete_prefix("whsec_").unpack1("m0")
    key if secret.start_with?("whsec_") && key.bytesize.between?(16, 64)
  rescue ArgumentError # no base64
    nil
  end

  # Takes the same time wherever the two differ: else a signature could be guessed byte by byte.
  def self.same?(given, expected)
    given.bytesize == expected.bytesize && OpenSSL.fixed_length_secure_compare(given, expected)
  end
end
