//! The words of the widget and of the form at `/f/SLUG`, which visitors of other people's sites read in their own
//! language. All else in the program is English.

use serde_json::{Map, Value, json};

pub(crate) struct Words {
    pub(crate) lang: &'static str,
    pub(crate) label: &'static str,
    pub(crate) message: &'static str,
    pub(crate) email: &'static str,
    pub(crate) optional: &'static str,
    pub(crate) send: &'static str,
    close: &'static str,
    page: &'static str,
    pub(crate) thanks: &'static str,
    later: &'static str,
    pub(crate) paused: &'static str,
    failed: &'static str,
    /// From here on of the form alone.
    pub(crate) another: &'static str,
    pub(crate) too_fast: &'static str,
    pub(crate) too_many: &'static str,
    pub(crate) nothing: &'static str,
}

/// By which attributes a site can replace the widget's words, in the order of [`Words::of_widget`].
pub(crate) const WIDGET_NAMES: [&str; 11] = [
    "label", "message", "email", "optional", "send", "close", "page", "thanks", "later", "paused",
    "failed",
];

impl Words {
    fn of_widget(&self) -> [&'static str; 11] {
        [
            self.label,
            self.message,
            self.email,
            self.optional,
            self.send,
            self.close,
            self.page,
            self.thanks,
            self.later,
            self.paused,
            self.failed,
        ]
    }

    /// Those that a browser asks for by `Accept-Language`, in the order of its wishes; English where none is there.
    pub(crate) fn wished(accept_language: &str) -> &'static Self {
        let mut wishes: Vec<(&str, f32)> = accept_language
            .split(',')
            .filter_map(|wish| {
                let (tag, weight) = wish.split_once(';').unwrap_or((wish, "q=1"));
                let weight = weight.trim().strip_prefix("q=")?.parse().ok()?;
                Some((tag.trim(), weight)).filter(|(_, weight)| *weight > 0.0)
            })
            .collect();
        // A stable sort: of equal wishes the first comes first.
        wishes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        wishes
            .into_iter()
            .find_map(|(tag, _)| Self::of(tag))
            .unwrap_or(&ALL[0])
    }

    /// Those of a language tag, whatever its region: `pt` for `pt-BR`.
    pub(crate) fn of(tag: &str) -> Option<&'static Self> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        ALL.iter()
            .find(|words| words.lang.eq_ignore_ascii_case(language))
    }
}

/// The widget's words of all languages, as its script reads them.
pub(crate) fn of_widget() -> Value {
    let all: Map<String, Value> = ALL
        .iter()
        .map(|words| (words.lang.to_owned(), json!(words.of_widget())))
        .collect();
    Value::Object(all)
}

const ALL: [Words; 6] = [
    Words {
        lang: "en",
        label: "Feedback",
        message: "Message",
        email: "Email",
        optional: "(optional)",
        send: "Send",
        close: "Close",
        page: "The address of this page is sent with it:",
        thanks: "Thank you. Your feedback has arrived.",
        later: "This did not get through. Your feedback is kept in this browser and sent as soon as possible.",
        paused: "No feedback is taken here at the moment.",
        failed: "This could not be sent.",
        another: "Write another",
        too_fast: "That was fast. Wait a moment, then send it again.",
        too_many: "Too much feedback is coming in. Please try again in a few minutes.",
        nothing: "There is no feedback form at this address.",
    },
    Words {
        lang: "de",
        label: "Feedback",
        message: "Nachricht",
        email: "E-Mail",
        optional: "(freiwillig)",
        send: "Senden",
        close: "Schließen",
        page: "Die Adresse dieser Seite wird mitgesendet:",
        thanks: "Danke. Ihr Feedback ist angekommen.",
        later: "Das ging nicht durch. Ihr Feedback bleibt in diesem Browser und wird gesendet, sobald es geht.",
        paused: "Zurzeit wird hier kein Feedback angenommen.",
        failed: "Das konnte nicht gesendet werden.",
        another: "Noch etwas schreiben",
        too_fast: "Das ging schnell. Warten Sie einen Augenblick und senden Sie es dann noch einmal.",
        too_many: "Es kommt gerade zu viel Feedback. Bitte versuchen Sie es in ein paar Minuten noch einmal.",
        nothing: "Unter dieser Adresse gibt es kein Feedback-Formular.",
    },
    Words {
        lang: "fr",
        label: "Votre avis",
        message: "Message",
        email: "E-mail",
        optional: "(facultatif)",
        send: "Envoyer",
        close: "Fermer",
        page: "L’adresse de cette page est jointe :",
        thanks: "Merci. Votre avis nous est parvenu.",
        later: "L’envoi a échoué. Votre avis reste dans ce navigateur et sera envoyé dès que possible.",
        paused: "Aucun avis n’est accepté ici pour le moment.",
        failed: "L’envoi a échoué.",
        another: "Écrire un autre avis",
        too_fast: "C’était rapide. Attendez un instant, puis envoyez de nouveau.",
        too_many: "Trop d’avis arrivent en ce moment. Réessayez dans quelques minutes.",
        nothing: "Il n’y a pas de formulaire à cette adresse.",
    },
    Words {
        lang: "es",
        label: "Comentarios",
        message: "Mensaje",
        email: "Correo electrónico",
        optional: "(opcional)",
        send: "Enviar",
        close: "Cerrar",
        page: "Se adjunta la dirección de esta página:",
        thanks: "Gracias. Hemos recibido tus comentarios.",
        later: "No se ha podido enviar. Tus comentarios quedan en este navegador y se enviarán en cuanto sea posible.",
        paused: "De momento no se aceptan comentarios aquí.",
        failed: "No se ha podido enviar.",
        another: "Escribir otro comentario",
        too_fast: "Ha sido muy rápido. Espera un momento y vuelve a enviarlo.",
        too_many: "Están llegando demasiados comentarios. Inténtalo de nuevo en unos minutos.",
        nothing: "En esta dirección no hay ningún formulario.",
    },
    Words {
        lang: "pt",
        label: "Comentários",
        message: "Mensagem",
        email: "E-mail",
        optional: "(opcional)",
        send: "Enviar",
        close: "Fechar",
        page: "O endereço desta página é enviado junto:",
        thanks: "Agradecemos. Os seus comentários chegaram.",
        later: "Não foi possível enviar. Os seus comentários ficam neste navegador e serão enviados assim que possível.",
        paused: "De momento, não se aceitam comentários aqui.",
        failed: "Não foi possível enviar.",
        another: "Escrever outro comentário",
        too_fast: "Foi muito rápido. Aguarde um momento e envie de novo.",
        too_many: "Estão a chegar demasiados comentários. Tente de novo dentro de alguns minutos.",
        nothing: "Não há nenhum formulário neste endereço.",
    },
    Words {
        lang: "ja",
        label: "フィードバック",
        message: "メッセージ",
        email: "メールアドレス",
        optional: "（任意）",
        send: "送信",
        close: "閉じる",
        page: "このページのアドレスも送信されます：",
        thanks: "ありがとうございます。フィードバックを受け取りました。",
        later: "送信できませんでした。フィードバックはこのブラウザーに保存され、可能になりしだい送信されます。",
        paused: "現在、フィードバックを受け付けていません。",
        failed: "送信できませんでした。",
        another: "もう一件書く",
        too_fast: "送信が早すぎました。少し待ってから、もう一度送信してください。",
        too_many: "フィードバックが集中しています。数分後にもう一度お試しください。",
        nothing: "このアドレスにフォームはありません。",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_first_of_its_wishes_that_is_there() {
        for (wishes, lang) in [
            ("", "en"),
            ("de", "de"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
            ("nl,fr;q=0.5,ja;q=0.7", "ja"),
            ("DE-at", "de"),
            ("de;q=0, es", "es"),
            ("*", "en"),
            ("xx;q=nonsense, ,;;", "en"),
        ] {
            assert_eq!(Words::wished(wishes).lang, lang, "{wishes}");
        }
    }

    #[test]
    fn no_word_is_missing_in_any_language() {
        for words in &ALL {
            assert!(words.of_widget().iter().all(|word| !word.is_empty()));
        }
        assert_eq!(
            of_widget()["de"][4],
            Words::of("de").unwrap().send,
            "in the order of their names"
        );
        assert_eq!(WIDGET_NAMES[4], "send");
    }
}
