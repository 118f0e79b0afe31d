<?php
require __DIR__ . '/../vendor/autoload.php';
echo getenv('JOURNAL_TITLE') ?: 'Journal';
