//! Discord's webhooks.

use serde_json::{Value, json};

use super::markup::{
    Found, Syntax, bare_url, code, delimited, emoji, marker, masked_link, number_marker, show,
};
use super::{Rejection, Shown, characters, items, unknown_member};

/// <https://support.discord.com/hc/en-us/articles/210298617>,
/// <https://docs.discord.com/developers/reference#message-formatting>
const MARKDOWN: Syntax = Syntax {
    escape: |text| {
        let c = text.strip_prefix('\\')?.chars().next()?;
        let is_escaped = !c.is_alphanumeric() && !c.is_whitespace();
        is_escaped.then(|| (c.to_string(), 1 + c.len_utf8()))
    },
    block: |text| {
        let markers = ["# ", "## ", "### ", "-# ", "> ", ">>> ", "- ", "* "];
        marker(text, &markers).or_else(|| number_marker(text, &[". "]))
    },
    inline: |text, _| {
        ["**", "*", "__", "_", "~~", "||"]
            .iter()
            .find_map(|delimiter| delimited(text, delimiter))
            .or_else(|| code(text))
            .or_else(|| masked_link(text))
            .or_else(|| bare_url(text))
            .or_else(|| emoji(text))
            .or_else(|| mention(text))
    },
    plain: |_, _| {},
};

fn mention(text: &str) -> Option<(Found, usize)> {
    let names = ["@everyone", "@here"];
    if let Some(name) = names.iter().find(|name| text.starts_with(**name)) {
        return Some((Found::Mention((*name).to_owned()), name.len()));
    }
    let starts = ["<@", "<#", "<:", "<a:", "<t:", "</", "<id:", "<http"];
    let is_reference = starts.iter().any(|start| text.starts_with(start));
    let length = is_reference.then(|| text.find('>'))?? + 1;
    Some((Found::Mention(text[..length].to_owned()), length))
}

pub(super) fn post(json: &Value) -> Result<Shown, Rejection> {
    let known = ["content", "embeds", "allowed_mentions"];
    if !json.is_object() || unknown_member(json, &known).is_some() {
        // https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
        let body = json!({"message": "The request body contains invalid JSON.", "code": 50109});
        return Err(Rejection::new(400, body));
    }
    if items(&json["embeds"]).count() == 0 && characters(&json["content"]) == 0 {
        let body = json!({"message": "Cannot send an empty message", "code": 50006});
        return Err(Rejection::new(400, body));
    }
    let mut shown = Shown::default();
    // Mentions are allowed unless `parse` is empty:
    // https://docs.discord.com/developers/resources/message#allowed-mentions-object
    if json["allowed_mentions"]["parse"] != json!([]) {
        shown.mentions.push("allowed_mentions".to_owned());
    }
    let mut total = 0;
    for embed in items(&json["embeds"]) {
        total += show_embed(embed, &mut shown)?;
    }
    if total > 6_000 {
        return Err(too_long(
            "embeds",
            "Embed size exceeds maximum size of 6000",
        ));
    }
    Ok(shown)
}

/// Returns the number of characters.
/// <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>
fn show_embed(embed: &Value, shown: &mut Shown) -> Result<usize, Rejection> {
    let known = [
        "title",
        "url",
        "description",
        "color",
        "fields",
        "timestamp",
    ];
    if unknown_member(embed, &known).is_some() || items(&embed["fields"]).count() > 25 {
        return Err(too_long("embeds", "Must be 25 or fewer in length."));
    }
    let fields =
        items(&embed["fields"]).flat_map(|field| [(&field["name"], 256), (&field["value"], 1_024)]);
    let texts = [(&embed["title"], 256), (&embed["description"], 4_096)];
    let mut total = 0;
    for (text, max) in texts
        .into_iter()
        .chain(fields)
        .filter(|(text, _)| !text.is_null())
    {
        if !(1..=max).contains(&characters(text)) {
            let message = format!("Must be {max} or fewer in length.");
            return Err(too_long("embeds", &message));
        }
        total += characters(text);
        let visible = show(text.as_str().unwrap_or_default(), &MARKDOWN, shown);
        shown.texts.push(visible);
    }
    shown.links.extend(embed["url"].as_str().map(str::to_owned));
    Ok(total)
}

fn too_long(member: &str, message: &str) -> Rejection {
    let error = json!({"code": "BASE_TYPE_MAX_LENGTH", "message": message});
    let errors = json!({member: {"0": {"_errors": [error]}}});
    let body = json!({"message": "Invalid Form Body", "code": 50035, "errors": errors});
    Rejection::new(400, body)
}

/// <https://docs.discord.com/developers/topics/opcodes-and-status-codes>,
/// <https://docs.discord.com/developers/topics/rate-limits>
pub(super) fn rejections() -> Vec<Rejection> {
    let rate_limit =
        json!({"message": "You are being rate limited.", "retry_after": 64.57, "global": false});
    vec![
        Rejection::new(
            400,
            json!({"message": "Cannot send an empty message", "code": 50006}),
        ),
        too_long("embeds", "Must be 4096 or fewer in length."),
        Rejection::new(
            401,
            json!({"message": "Invalid Webhook Token", "code": 50027}),
        ),
        Rejection::new(404, json!({"message": "Unknown Webhook", "code": 10015})),
        Rejection::new(429, rate_limit).header("Retry-After", "65"),
    ]
}
