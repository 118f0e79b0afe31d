<?php

require __DIR__ . '/../vendor/autoload.php';

$app = Slim\Factory\AppFactory::create();
$app->get('/health', fn ($request, $response) => $response);
$queue = getenv('TICKETS_QUEUE_URL');
$app->run();
