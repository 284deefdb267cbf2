//! Reads the email and password of the first user from the environment.

use super::option_values::read_secret_file;
use crate::domain::email::check_email_syntax;
use crate::domain::password_rules::check_password;

const PASSWORD_VARIABLE: &str = "MINIBACK_ADMIN_PASSWORD";
const PASSWORD_FILE_VARIABLE: &str = "MINIBACK_ADMIN_PASSWORD_FILE";

/// The email and password of the first user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUser {
    pub email: String,
    pub password: String,
    /// The name of the variable that contains the password or the path of the password file.
    pub password_variable: &'static str,
}

impl FirstUser {
    /// Returns a notice that the environment variables for the first user have no effect, because a
    /// user exists.
    pub fn ignored_variables_notice(&self) -> String {
        format!(
            "MINIBACK_ADMIN_EMAIL and {} have no effect, because there is already a user",
            self.password_variable
        )
    }
}

/// Reads the first user from `MINIBACK_ADMIN_EMAIL` and either `MINIBACK_ADMIN_PASSWORD` or
/// `MINIBACK_ADMIN_PASSWORD_FILE`. Returns `None` if none of these variables is set.
pub fn read_first_user(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<FirstUser>, String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let password = match (set(PASSWORD_VARIABLE), set(PASSWORD_FILE_VARIABLE)) {
        (Some(_), Some(_)) => {
            return Err(
                "MINIBACK_ADMIN_PASSWORD and MINIBACK_ADMIN_PASSWORD_FILE are both set; \
                 unset one of them"
                    .into(),
            );
        }
        (None, Some(file)) => {
            let password = read_secret_file(PASSWORD_FILE_VARIABLE, file.as_ref())?;
            Some((password, PASSWORD_FILE_VARIABLE))
        }
        (password, None) => password.map(|password| (password, PASSWORD_VARIABLE)),
    };
    let user = match (set("MINIBACK_ADMIN_EMAIL"), password) {
        (None, None) => return Ok(None),
        (Some(email), Some((password, password_variable))) => FirstUser {
            email,
            password,
            password_variable,
        },
        (Some(_), None) => {
            return Err(
                "MINIBACK_ADMIN_EMAIL is set without MINIBACK_ADMIN_PASSWORD; set both".into(),
            );
        }
        (None, Some(_)) => {
            return Err(
                "MINIBACK_ADMIN_PASSWORD is set without MINIBACK_ADMIN_EMAIL; set both".into(),
            );
        }
    };
    // The variables often stay set after the first start, so check no more than earlier versions.
    let email = check_email_syntax(&user.email).map_err(|_| {
        format!(
            "MINIBACK_ADMIN_EMAIL: “{}” isn’t a valid email",
            user.email.escape_debug()
        )
    })?;
    check_password(&user.password, &user.email).map_err(|error| {
        format!(
            "MINIBACK_ADMIN_PASSWORD: {}",
            error.to_string().trim_end_matches('.')
        )
    })?;
    Ok(Some(FirstUser { email, ..user }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requires_both_an_email_and_a_valid_password() {
        let read = |pairs: &'static [(&str, &str)]| {
            read_first_user(move |name| {
                pairs
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            })
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("MINIBACK_ADMIN_EMAIL", "")]), Ok(None));
        assert!(
            read(&[
                ("MINIBACK_ADMIN_EMAIL", "a@b.c"),
                ("MINIBACK_ADMIN_PASSWORD", "long enough 1")
            ])
            .unwrap()
            .is_some()
        );
        for invalid in [
            &[("MINIBACK_ADMIN_EMAIL", "a@b.c")][..],
            &[("MINIBACK_ADMIN_PASSWORD", "long enough 1")],
            &[
                ("MINIBACK_ADMIN_EMAIL", "a@b.c"),
                ("MINIBACK_ADMIN_PASSWORD", "short"),
            ],
            &[
                ("MINIBACK_ADMIN_EMAIL", "nobody"),
                ("MINIBACK_ADMIN_PASSWORD", "long enough 1"),
            ],
        ] {
            assert!(read(invalid).unwrap_err().contains("MINIBACK_ADMIN_"));
        }
    }
}
