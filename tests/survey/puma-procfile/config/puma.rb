port ENV['PORT'] || 4600
