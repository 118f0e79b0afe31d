package org.ledger.common;

public class Mail {
    public static final String HOST = System.getenv("LEDGER_MAIL_HOST");
}
